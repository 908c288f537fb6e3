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

/// The numbers of things in the order of their names, or the first name that is there twice.
pub(super) fn by_name<T>(things: &[T], name: impl Fn(&T) -> &str) -> Result<Vec<usize>, &str> {
    let name = |number: usize| name(&things[number]);
    let mut order: Vec<usize> = (0..things.len()).collect();
    order.sort_unstable_by(|&left, &right| name(left).cmp(name(right)));
    let mut pairs = order.windows(2);
    match pairs.find(|pair| name(pair[0]) == name(pair[1])) {
        Some(pair) => Err(name(pair[0])),
        None => Ok(order),
    }
}

/// A name as a message quotes it: a name may be as long as a file.
pub(super) fn quoted(name: &str) -> String {
    const MOST: usize = 64;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}
