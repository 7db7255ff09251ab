//! Kubernetes quantities (`100m`, `1.5Gi`, `1e3`): their exact value, and the form that Go's `resource.Quantity` prints.
//!
//! The printed form goes into the template hash, so it follows Go to the letter, in its odd corners too: a spelling
//! that happens to need no work is kept (`+5`, `1.500`, `5.`), no digits at all are zero (`m`), a value beyond `E` loses
//! its suffix (`1000E` prints `1`). Only values decide equality, see [`Quantity::same_value`].

use std::borrow::Cow;

/// How a quantity was spelled, and so how it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// A parsed quantity. The value is `digits * 10^exponent`, negated if `negative`; exact, never a float.
#[derive(Debug, Clone)]
pub struct Quantity {
    negative: bool,
    /// Decimal digits, the most significant first, without zeros at either end; none is zero.
    digits: Vec<u8>,
    exponent: i32,
    format: Format,
    /// The spelling, where Go keeps it.
    spelling: Option<String>,
}

/// The largest quantity in a binary unit; larger ones are capped.
const MAX_BINARY: u128 = i64::MAX as u128;

/// Decimal places that a quantity keeps; smaller parts are rounded away from zero.
const NANO: i32 = -9;

impl Quantity {
    /// Parses a quantity as Go does, with spaces around it ignored as in JSON. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        // Go trims the encoded JSON, where control characters and the two line separators stand as escapes.
        let text = text
            .trim_matches(|c: char| c.is_whitespace() && c >= ' ' && !matches!(c, '\u{2028}' | '\u{2029}'));
        if text.is_empty() {
            return None;
        }
        let parts = Parts::split(text)?;
        let (format, exponent) = unit(parts.suffix)?;
        Self::parse_small(text, &parts, format, exponent)
            .or_else(|| Self::parse_any(&parts, format, exponent))
    }

    /// The form that Go prints: `0.001` is `1m`, `1000m` is `1`, `1.5Gi` is `1536Mi`, `1e1` is `10`.
    pub fn canonical(&self) -> String {
        if let Some(spelling) = &self.spelling {
            return spelling.clone();
        }
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        // Binary units print whole numbers from 1024 on; anything else would lose precision in them.
        let whole = (self.exponent >= 0).then(|| self.whole_part()).flatten();
        let sign = if self.negative { "-" } else { "" };
        match (self.format, whole) {
            (Format::BinarySi, Some(mut amount)) if amount >= 1024 => {
                let mut units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
                let mut suffix = units.next().unwrap_or_default();
                while amount.is_multiple_of(1024) {
                    amount /= 1024;
                    suffix = units.next().unwrap_or_default();
                }
                format!("{sign}{amount}{suffix}")
            }
            (Format::BinarySi | Format::DecimalSi | Format::DecimalExponent, _) => {
                // The exponent goes down to a multiple of three: 1 * 10^1 is 10 * 10^0, 1 * 10^-1 is 100 * 10^-3.
                let zeros = self.exponent.rem_euclid(3);
                let exponent = self.exponent.wrapping_sub(zeros);
                let amount: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
                let zeros = ["", "0", "00"][usize::try_from(zeros).unwrap_or_default()];
                format!("{sign}{amount}{zeros}{}", decimal_suffix(exponent, self.format))
            }
        }
    }

    /// Whether both are the same amount: `1`, `1000m` and `1e0` are.
    pub fn same_value(&self, other: &Self) -> bool {
        self.value_text() == other.value_text()
    }

    /// The exact value in one spelling for all formats, digits and a power of ten: `1500m` and `1.5` are `15e-1`.
    pub fn value_text(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        format!(
            "{}{digits}e{}",
            if self.negative { "-" } else { "" },
            self.exponent
        )
    }

    /// Rounded away from zero to thousandths, as the API server does with the resources of a container: `0.1m` is `1m`.
    #[must_use]
    pub fn rounded_to_milli(mut self) -> Self {
        self.round_up(-3);
        self
    }

    /// The short way, for values that fit 64 bits: exact, without a cap, and the only one that keeps a spelling.
    fn parse_small(text: &str, parts: &Parts, format: Format, exponent: i32) -> Option<Self> {
        let (num, denom) = (parts.num.len(), parts.denom.len());
        let (factor, mut scale, precision) = match format {
            Format::DecimalExponent | Format::DecimalSi => (1, exponent, places(18) - places(num + denom)),
            Format::BinarySi if denom == 0 => (
                1_i64.checked_shl(exponent.unsigned_abs())?,
                0,
                places(15) - places(num) - exponent * 3 / 10 - 1,
            ),
            Format::BinarySi => return None,
        };
        if precision < 0 {
            return None;
        }
        scale = scale.wrapping_sub(places(denom));
        if scale < NANO {
            return None;
        }
        let shifted = format!("{}{}", parts.num, parts.denom);
        let value: i64 = shifted.parse().ok()?;
        let result = value.checked_mul(factor)?;
        let canonical = match format {
            Format::BinarySi => value & 7 != 0,
            Format::DecimalExponent | Format::DecimalSi => {
                scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0')
            }
        };
        let digits = result.to_string().bytes().map(|digit| digit - b'0').collect();
        let mut quantity = Self {
            negative: parts.negative,
            digits,
            exponent: scale,
            format,
            spelling: canonical.then(|| text.to_owned()),
        };
        quantity.strip();
        Some(quantity)
    }

    /// The long way: any number of digits, rounded up to 10^-9, capped at 2^63-1 in binary units.
    fn parse_any(parts: &Parts, mut format: Format, exponent: i32) -> Option<Self> {
        if !parts.has_digits {
            return None;
        }
        let digits = parts
            .num
            .bytes()
            .chain(parts.denom.bytes())
            .map(|digit| digit - b'0')
            .collect();
        let mut quantity = Self {
            negative: parts.negative,
            digits,
            exponent: places(parts.denom.len()).wrapping_neg(),
            format,
            spelling: None,
        };
        match format {
            Format::DecimalExponent | Format::DecimalSi => {
                quantity.exponent = quantity.exponent.saturating_add(exponent);
            }
            Format::BinarySi => (0..exponent / 10).for_each(|_| quantity.times_1024()),
        }
        quantity.strip();
        quantity.round_up(NANO);
        if format == Format::BinarySi && quantity.is_above_max_binary() {
            quantity.digits = MAX_BINARY.to_string().bytes().map(|digit| digit - b'0').collect();
            quantity.exponent = 0;
            quantity.strip();
        }
        if format == Format::BinarySi && quantity.whole_part() == Some(0) {
            format = Format::DecimalSi;
        }
        quantity.format = format;
        Some(quantity)
    }

    /// Drops zeros at both ends; those at the end go into the exponent.
    fn strip(&mut self) {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent = self.exponent.wrapping_add(1);
        }
        if self.digits.is_empty() {
            self.exponent = 0;
        }
    }

    /// Rounds away from zero to a multiple of `10^exponent`.
    fn round_up(&mut self, exponent: i32) {
        if self.digits.is_empty() || self.exponent >= exponent {
            return;
        }
        let dropped = usize::try_from(i64::from(exponent) - i64::from(self.exponent)).unwrap_or(usize::MAX);
        self.digits.truncate(self.digits.len().saturating_sub(dropped));
        self.exponent = exponent;
        self.spelling = None;
        // The last digit is never zero, so what was dropped was more than nothing.
        let nines = self.digits.iter().rev().take_while(|digit| **digit == 9).count();
        let kept = self.digits.len() - nines;
        self.digits[kept..].fill(0);
        match self.digits[..kept].last_mut() {
            Some(digit) => *digit += 1,
            None => self.digits.insert(0, 1),
        }
        self.strip();
    }

    fn times_1024(&mut self) {
        let mut carry = 0_u32;
        for digit in self.digits.iter_mut().rev() {
            let product = u32::from(*digit) * 1024 + carry;
            *digit = last_digit(product);
            carry = product / 10;
        }
        while carry > 0 {
            self.digits.insert(0, last_digit(carry));
            carry /= 10;
        }
    }

    /// The value without its decimal places and sign; `None` when it has more than 30 digits.
    fn whole_part(&self) -> Option<u128> {
        let length = i64::try_from(self.digits.len()).unwrap_or(i64::MAX) + i64::from(self.exponent);
        if length > 30 {
            return None;
        }
        let digits = self.digits.iter().copied().chain(std::iter::repeat(0));
        let length = usize::try_from(length).unwrap_or_default();
        Some(
            digits
                .take(length)
                .fold(0, |whole, digit| whole * 10 + u128::from(digit)),
        )
    }

    fn is_above_max_binary(&self) -> bool {
        self.whole_part()
            .is_none_or(|whole| whole > MAX_BINARY || (whole == MAX_BINARY && self.exponent < 0))
    }
}

/// The canonical form of a quantity, or the text itself if it is none.
pub fn canonical(text: &str) -> Cow<'_, str> {
    Quantity::parse(text).map_or(Cow::Borrowed(text), |quantity| Cow::Owned(quantity.canonical()))
}

/// A quantity's text in its parts.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point without leading zeros, `0` if there are none.
    num: &'a str,
    /// Digits after the point.
    denom: &'a str,
    suffix: &'a str,
    /// Whether any digit was written; the short way does without.
    has_digits: bool,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = |text: &'a str| text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let (written, rest) = digits(rest);
        let num = written.trim_start_matches('0');
        let (denom, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        // The suffix is letters, then perhaps a sign and digits.
        let number = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let number = number.strip_prefix(['-', '+']).unwrap_or(number);
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(Self {
            negative,
            num: if num.is_empty() { "0" } else { num },
            denom,
            suffix,
            // Zeros up to the end are read as a number of their own, even when there is only a sign.
            has_digits: !written.is_empty() || !denom.is_empty(),
        })
    }
}

/// The format that a suffix stands for, and its exponent: of two for binary units, else of ten.
fn unit(suffix: &str) -> Option<(Format, i32)> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(place) = decimal.iter().position(|unit| *unit == suffix) {
        return Some((Format::DecimalSi, places(place) * 3 - 9));
    }
    if let Some(place) = binary.iter().position(|unit| *unit == suffix) {
        return Some((Format::BinarySi, places(place) * 10 + 10));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // Go cuts the exponent to 32 bits without looking.
    #[expect(clippy::cast_possible_truncation, reason = "the truncation is Go's")]
    Some((Format::DecimalExponent, exponent as i32))
}

/// Go has no suffix above `E` or below `n` and prints none there.
fn decimal_suffix(exponent: i32, format: Format) -> Cow<'static, str> {
    if format == Format::DecimalExponent {
        return if exponent == 0 {
            Cow::Borrowed("")
        } else {
            Cow::Owned(format!("e{exponent}"))
        };
    }
    Cow::Borrowed(match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    })
}

/// A number of digits as a (signed) power of ten.
fn places(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn last_digit(number: u32) -> u8 {
    u8::try_from(number % 10).unwrap_or_default()
}

#[cfg(test)]
mod tests;
