//! Functions on text, and those between text and other values.

use super::super::show;
use super::super::value::{Value, int};
use super::{Answer, Builtin, Call};

pub(super) fn call(call: &mut Call<'_, '_>) -> Answer {
    match call.function {
        Builtin::String => {
            let mut out = String::new();
            show::plain(call.argument(0), &mut out);
            call.made(out)
        }
        Builtin::Type => Ok(Value::from(match call.argument(0) {
            Value::List(_) => "array",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Zone(_) => "time.Location",
            other => other.kind(),
        })),
        Builtin::ToJson => {
            let mut out = String::new();
            show::json(call.argument(0), 0, &mut out).map_err(|reason| call.fault(reason))?;
            call.made(out)
        }
        Builtin::FromJson => {
            let json: serde_json::Value =
                serde_json::from_str(call.text(0)?).map_err(|error| call.fault(error))?;
            let value = Value::from(&json);
            call.budget.copy(call.at, &value)?;
            Ok(value)
        }
        Builtin::ToBase64 => {
            let text = call.text(0)?;
            let length = text.len() / 3 * 4 + 4;
            call.budget.text(call.at, length)?;
            Ok(Value::String(encode(call.text(0)?.as_bytes())))
        }
        Builtin::FromBase64 => {
            let bytes = decode(call.text(0)?).ok_or_else(|| call.fault("the text is not base64"))?;
            call.made(String::from_utf8_lossy(&bytes).into_owned())
        }
        Builtin::Trim => {
            let text = call.text(0)?;
            let trimmed = if call.len() == 2 {
                let chars: Vec<char> = call.text(1)?.chars().collect();
                text.trim_matches(chars.as_slice())
            } else {
                text.trim()
            };
            let trimmed = trimmed.to_owned();
            call.made(trimmed)
        }
        Builtin::TrimPrefix | Builtin::TrimSuffix => {
            let text = call.text(0)?;
            let affix = if call.len() == 2 { call.text(1)? } else { " " };
            let cut = match call.function {
                Builtin::TrimPrefix => text.strip_prefix(affix),
                _ => text.strip_suffix(affix),
            };
            let cut = cut.unwrap_or(text).to_owned();
            call.made(cut)
        }
        Builtin::Upper => {
            let upper = call.text(0)?.to_uppercase();
            call.made(upper)
        }
        Builtin::Lower => {
            let lower = call.text(0)?.to_lowercase();
            call.made(lower)
        }
        Builtin::HasPrefix => Ok(Value::Bool(call.text(0)?.starts_with(call.text(1)?))),
        Builtin::HasSuffix => Ok(Value::Bool(call.text(0)?.ends_with(call.text(1)?))),
        Builtin::IndexOf => Ok(call.text(0)?.find(call.text(1)?).map_or(Value::Int(-1), int)),
        Builtin::LastIndexOf => Ok(call.text(0)?.rfind(call.text(1)?).map_or(Value::Int(-1), int)),
        Builtin::Repeat => repeat(call),
        Builtin::Replace => replace(call),
        Builtin::Split | Builtin::SplitAfter => split(call),
        _ => join(call),
    }
}

fn repeat(call: &mut Call<'_, '_>) -> Answer {
    let times = call.whole(1)?;
    let times = usize::try_from(times)
        .map_err(|_| call.fault(format_args!("expected a count of 0 or more, got {times}")))?;
    let length = call.text(0)?.len().saturating_mul(times);
    call.budget.text(call.at, length)?;
    Ok(Value::String(call.text(0)?.repeat(if length == 0 {
        0
    } else {
        times
    })))
}

/// The least count of pieces or replacements: a negative one means all.
fn limit(call: &Call<'_, '_>, index: usize) -> Result<Option<usize>, super::super::Fault> {
    if call.len() <= index {
        Ok(None)
    } else {
        Ok(usize::try_from(call.whole(index)?).ok())
    }
}

fn replace(call: &mut Call<'_, '_>) -> Answer {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let most = limit(call, 3)?.unwrap_or(usize::MAX);
    let found = text.matches(old).take(most).count();
    let length = text.len().saturating_add(new.len().saturating_mul(found));
    call.budget.text(call.at, length)?;
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    Ok(Value::String(text.replacen(old, new, found)))
}

fn split(call: &mut Call<'_, '_>) -> Answer {
    let (text, separator) = (call.text(0)?, call.text(1)?);
    let most = limit(call, 2)?.unwrap_or(usize::MAX);
    let after = call.function == Builtin::SplitAfter;
    let mut pieces = Vec::new();
    let mut rest = text;
    while pieces.len() + 1 < most {
        let cut = if separator.is_empty() {
            let first = rest.chars().next().map_or(0, char::len_utf8);
            (first < rest.len()).then_some((first, first))
        } else {
            rest.find(separator).map(|at| (at, at + separator.len()))
        };
        let Some((end, next)) = cut else { break };
        pieces.push(Value::from(
            rest.get(..if after { next } else { end }).unwrap_or_default(),
        ));
        rest = rest.get(next..).unwrap_or_default();
    }
    if most > 0 && !(separator.is_empty() && rest.is_empty()) {
        pieces.push(Value::from(rest));
    }
    let pieces = Value::List(pieces);
    call.budget.copy(call.at, &pieces)?;
    Ok(pieces)
}

fn join(call: &mut Call<'_, '_>) -> Answer {
    let glue = if call.len() == 2 { call.text(1)? } else { "" };
    let items = call.list(0)?;
    let mut length = glue.len().saturating_mul(items.len());
    let mut texts = Vec::new();
    for item in items {
        let Value::String(text) = item else {
            return Err(call.wants("a list of strings", item));
        };
        length = length.saturating_add(text.len());
        texts.push(text.as_str());
    }
    let mut budget_check = || call.budget.text(call.at, length);
    budget_check()?;
    let glue = if call.len() == 2 { call.text(1)? } else { "" };
    let texts: Vec<&str> = call
        .list(0)?
        .iter()
        .filter_map(|item| {
            if let Value::String(text) = item {
                Some(text.as_str())
            } else {
                None
            }
        })
        .collect();
    Ok(Value::String(texts.join(glue)))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 section 4).
fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let index = (bits >> (18 - 6 * place)) & 63;
            let symbol = usize::try_from(index).ok().and_then(|index| ALPHABET.get(index));
            out.push(if place > group.len() {
                '='
            } else {
                symbol.map_or('=', |symbol| char::from(*symbol))
            });
        }
    }
    out
}

/// The bytes behind base64 with padding; line ends are skipped.
fn decode(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\n' | b'\r'))
        .collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(symbols.len() / 4 * 3);
    let groups = symbols.len() / 4;
    for (number, group) in symbols.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|symbol| **symbol == b'=').count();
        if padding > 2 || (padding > 0 && number + 1 != groups) {
            return None;
        }
        let mut bits = 0_u32;
        for symbol in group {
            let index = match ALPHABET.iter().position(|known| known == symbol) {
                Some(index) => u32::try_from(index).ok()?,
                None => 0,
            };
            bits = bits << 6 | index;
        }
        let valid = group
            .iter()
            .take(4 - padding)
            .all(|symbol| ALPHABET.contains(symbol));
        if !valid {
            return None;
        }
        out.extend(bits.to_be_bytes().into_iter().skip(1).take(3 - padding));
    }
    Some(out)
}
