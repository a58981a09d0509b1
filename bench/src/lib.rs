//! Evidence: benches, peers side by side and the tidy test.
