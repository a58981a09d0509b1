use super::*;

/// Azure's blob service as far as reading one object goes: `HEAD`, and `GET` of a bounded range.
fn azure_of(object: &'static [u8]) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map(|line| line.unwrap().to_ascii_lowercase());
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let range = request.iter().find_map(|line| line.strip_prefix("range: bytes=")?.split_once('-'));
            let (status, part) = match range {
                Some((a, b)) => ("206 Partial Content", a.parse().unwrap()..b.parse::<usize>().unwrap() + 1),
                None => ("200 OK", 0..object.len()),
            };
            let (a, b, len) = (part.start, part.end - 1, object.len());
            let mut reply = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {a}-{b}/{len}\r\nETag: \"1\"\r\n\
                 Last-Modified: Tue, 24 Nov 2026 07:00:00 GMT\r\nConnection: close\r\n\r\n",
                part.len()
            )
            .into_bytes();
            if request[0].starts_with("get") {
                reply.extend_from_slice(&object[part]);
            }
            stream.write_all(&reply).unwrap();
        }
    });
    url
}

#[test]
fn the_end_of_an_object_can_be_read_where_suffixes_are_unknown() {
    let azure = object_store::azure::MicrosoftAzureBuilder::new()
        .with_account("account")
        .with_container_name("container")
        .with_endpoint(azure_of(b"footer at the end"))
        .with_allow_http(true)
        .with_skip_signature(true)
        .build()
        .unwrap();
    let store = Store { objects: Arc::new(azure), ..Store::open("memory://").unwrap() };
    let key = Key::result("demo", "summary.json");
    for (bytes, end) in [(7, &b"the end"[..]), (1000, b"footer at the end")] {
        let read = store.runtime().block_on(store.get_range_async(&key, GetRange::Suffix(bytes))).unwrap();
        assert_eq!((&read.0[..], read.1), (end, 17));
    }
}

#[test]
fn an_io_thread_may_be_the_last_to_hold_the_store() {
    let store = Store::open("memory://").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let threads = store.runtime().clone();
    threads.spawn(async move {
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(store)));
        tell.send(dropped.is_ok()).unwrap();
    });
    assert!(told.recv().unwrap());
}
