//! Numbers as the array formats store them, to f64.

use arrow::datatypes::{ArrowPrimitiveType, Float16Type};

/// A fixed-size number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

/// A number type in a byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub kind: Kind,
    pub big_endian: bool,
}

impl Number {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self.kind {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 | Kind::F16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    /// Calls `push` with each number of `bytes` (a multiple of [`Number::bytes`]), in order.
    pub fn each(self, bytes: &[u8], mut push: impl FnMut(f64)) {
        macro_rules! each {
            ($type:ty, $to_f64:expr) => {
                for chunk in bytes.chunks_exact(size_of::<$type>()) {
                    let mut word = [0; size_of::<$type>()];
                    word.copy_from_slice(chunk);
                    let number =
                        if self.big_endian { <$type>::from_be_bytes(word) } else { <$type>::from_le_bytes(word) };
                    push($to_f64(number));
                }
            };
        }
        type F16 = <Float16Type as ArrowPrimitiveType>::Native;
        match self.kind {
            Kind::Bool => bytes.iter().for_each(|b| push(f64::from(u8::from(*b != 0)))),
            Kind::U8 => each!(u8, f64::from),
            Kind::I8 => each!(i8, f64::from),
            Kind::U16 => each!(u16, f64::from),
            Kind::I16 => each!(i16, f64::from),
            Kind::U32 => each!(u32, f64::from),
            Kind::I32 => each!(i32, f64::from),
            Kind::U64 => each!(u64, |v| v as f64),
            Kind::I64 => each!(i64, |v| v as f64),
            Kind::F16 => each!(F16, F16::to_f64),
            Kind::F32 => each!(f32, f64::from),
            Kind::F64 => each!(f64, |v| v),
        }
    }
}
