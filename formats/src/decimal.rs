//! Numbers as decimals: the fewest digits that read back as the same double.

use crate::wire::NOT_FINITE;

/// Appends a decimal: the fewest digits that read back as the same number, without a `.0` that would claim precision.
pub(crate) fn write_decimal(number: f64, out: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = ryu::Buffer::new();
    let text = finite(number, &mut buffer)?;
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
    Ok(())
}

/// Appends a hundred times `number`, by moving the decimal point of its shortest text: moved back, it reads as the same
/// number, which a product need not.
pub(crate) fn write_hundredfold(number: f64, out: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = ryu::Buffer::new();
    let text = finite(number, &mut buffer)?;
    if let Some((digits, exponent)) = text.split_once('e') {
        let exponent: i32 = exponent.parse().expect("a float's exponent is a whole number");
        // The largest doubles have 308; a hundredfold above that reads back as infinite.
        if exponent > 305 {
            return Err(NOT_FINITE.to_owned());
        }
        out.extend_from_slice(digits.as_bytes());
        out.push(b'e');
        out.extend_from_slice(itoa::Buffer::new().format(exponent + 2).as_bytes());
        return Ok(());
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let moved = fraction.len().min(2);
    let begin = out.len();
    out.extend_from_slice(sign.as_bytes());
    let first = out.len();
    out.extend_from_slice(whole.as_bytes());
    out.extend_from_slice(&fraction.as_bytes()[..moved]);
    out.extend_from_slice(&b"00"[moved..]);
    // `0.97` has become `097`.
    let zeros = out[first..].iter().take_while(|digit| **digit == b'0').count().min(out.len() - first - 1);
    out.drain(first..first + zeros);
    debug_assert!(out.len() > begin);
    if fraction.len() > 2 {
        out.push(b'.');
        out.extend_from_slice(&fraction.as_bytes()[2..]);
    }
    Ok(())
}

fn finite(number: f64, buffer: &mut ryu::Buffer) -> Result<&str, String> {
    if !number.is_finite() {
        return Err(NOT_FINITE.to_owned());
    }
    Ok(buffer.format_finite(number))
}
