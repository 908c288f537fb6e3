//! Numbers that all GGUF files share.

use super::GgufValue;

/// What a file begins with.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written; the one before it differs in nothing that is read.
pub(super) const VERSION: u32 = 3;
/// The bytes of magic, version and two counts.
pub(super) const FIXED: u64 = 24;
/// The longest key, of the format.
pub(super) const LONGEST_KEY: usize = u16::MAX as usize;
/// How deep arrays may be in arrays.
pub(super) const DEEPEST: usize = 4;
/// The most axes of a tensor.
pub(super) const MOST_AXES: usize = 4;
/// The key that says what tensors begin at multiples of.
pub(super) const ALIGNMENT: &str = "general.alignment";
/// What that is where no key says it.
const USUAL_ALIGNMENT: u64 = 32;

/// What tensors begin at multiples of; what is wrong with it if the file must not say so.
pub(super) fn alignment(said: Option<&GgufValue>) -> Result<u64, String> {
    match said {
        None => Ok(USUAL_ALIGNMENT),
        Some(&GgufValue::U32(alignment))
            if alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment) =>
        {
            Ok(alignment.into())
        }
        Some(GgufValue::U32(alignment)) => Err(format!(
            "{ALIGNMENT} is {alignment}, must be a power of two in 8..=1048576"
        )),
        Some(_) => Err(format!(
            "{ALIGNMENT} must be an unsigned integer of 32 bits"
        )),
    }
}

/// The numbers of names in their order, or the first name that is there twice.
pub(super) fn by_name<'a>(names: &[&'a str]) -> Result<Vec<usize>, &'a str> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_unstable_by_key(|&number| names[number]);
    let twice = order
        .windows(2)
        .find(|pair| names[pair[0]] == names[pair[1]]);
    match twice {
        Some(pair) => Err(names[pair[0]]),
        None => Ok(order),
    }
}
