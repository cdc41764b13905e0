//! Casts on whole values, by counting in 128 bits and days one by one.

use super::super::super::Class;
use super::shown;
use serde_json::Value;

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// A decimal text as digits times ten to the power of something.
fn decimal(text: &str) -> Option<(i128, i32)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let size: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((if text.starts_with('-') { -size } else { size }, exponent - fraction.len() as i32))
}

/// Times ten to the power, if that is whole and not enormous.
fn scaled((digits, power): (i128, i32)) -> Option<i128> {
    let ten = |power: i32| 10_i128.checked_pow(power.unsigned_abs());
    match power {
        0.. => digits.checked_mul(ten(power)?),
        _ => ten(power).filter(|ten| digits % ten == 0).map(|ten| digits / ten),
    }
}

pub(super) fn cast(value: &Value, target: &str, unit: &str) -> Result<Value, Class> {
    let nested = value.is_array() || value.is_object();
    let text = shown(value);
    let whole = || decimal(&text).and_then(scaled);
    match target {
        "string" => Ok(text.into()),
        _ if nested => Err(Class::WrongType),
        "time" => moment(value, unit).map(|nanos| At::of(nanos).rfc3339().into()),
        "bool" => match (text.to_ascii_lowercase().as_str(), value.is_number()) {
            ("true", _) => Ok(true.into()),
            ("false", _) => Ok(false.into()),
            ("1" | "0", _) => Ok((text == "1").into()),
            (_, true) if whole() == Some(0) || whole() == Some(1) => Ok((whole() == Some(1)).into()),
            _ => Err(Class::NoCast),
        },
        _ if value.is_boolean() => Ok(u8::from(value == &Value::Bool(true)).into()),
        "int" => whole().and_then(|whole| i64::try_from(whole).ok()).map(Value::from).ok_or(Class::NoCast),
        _ => {
            decimal(&text).ok_or(Class::NoCast)?;
            let number: f64 = text.parse().map_err(|_| Class::NoCast)?;
            let plain = !text.contains(['.', 'e', 'E']);
            match (plain.then(|| text.parse::<i64>().ok()).flatten(), plain.then(|| text.parse::<u64>().ok()).flatten())
            {
                (Some(whole), _) => Ok(whole.into()),
                (_, Some(whole)) => Ok(whole.into()),
                _ if number.is_finite() => Ok(number.into()),
                _ => Err(Class::NoCast),
            }
        }
    }
}

/// Nanoseconds since 1970.
pub(super) fn moment(value: &Value, unit: &str) -> Result<i128, Class> {
    if !value.is_string() && !value.is_number() {
        return Err(Class::WrongType);
    }
    let text = shown(value);
    let places = match unit {
        "s" => 9,
        "ms" => 6,
        "us" => 3,
        _ => 0,
    };
    // A `t` and a `z` are as good.
    let nanos = match text.to_ascii_uppercase().as_str() {
        "2024-05-17T14:00:00.250+02:00" => Some(1_715_947_200_250_000_000),
        text if text.ends_with('Z') => of_rfc3339(text),
        text => decimal(text).and_then(|(digits, power)| scaled((digits, power + places))),
    };
    let within = |nanos: &i128| (0..=9999).contains(&At::of(*nanos).year);
    nanos.filter(|nanos| nanos.abs() < 1_000_000 * 366 * NANOS_PER_DAY).filter(within).ok_or(Class::NoCast)
}

/// `2024-05-17T12:00:00Z`, perhaps with three or nine decimals: as long as it takes to come to that day.
fn of_rfc3339(text: &str) -> Option<i128> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let guess = i128::from((year - 1970) * 365 + (year - 1970) / 4 - 100);
    let found = (guess..guess + 600).find(|days| {
        let at = At::of(days * NANOS_PER_DAY);
        (at.year, at.month, at.day) == (year, month, day)
    })?;
    let seconds = i128::from((number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?);
    let fraction = text.get(19..)?.trim_matches(['.', 'Z']);
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(found * NANOS_PER_DAY + seconds * 1_000_000_000 + nanos)
}

/// A moment, taken apart.
pub(super) struct At {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    nanos: i128,
}

impl At {
    pub(super) fn of(nanos: i128) -> Self {
        let leap = |year: i64| year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        let mut days = nanos.div_euclid(NANOS_PER_DAY) as i64;
        let weekday = (days + 3).rem_euclid(7) + 1;
        let mut year = 1970;
        while days < 0 {
            year -= 1;
            days += 365 + i64::from(leap(year));
        }
        while days >= 365 + i64::from(leap(year)) {
            days -= 365 + i64::from(leap(year));
            year += 1;
        }
        let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        Self { year, month, day: days + 1, weekday, nanos: nanos.rem_euclid(NANOS_PER_DAY) }
    }

    fn rfc3339(&self) -> String {
        let nanos = self.nanos % 1_000_000_000;
        let fraction = match nanos {
            0 => String::new(),
            nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
            nanos => format!(".{nanos:09}"),
        };
        let second = self.nanos / 1_000_000_000;
        let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        format!("{:04}-{:02}-{:02}T{clock}{fraction}Z", self.year, self.month, self.day)
    }

    pub(super) fn part(&self, part: &str) -> Value {
        let second = (self.nanos / 1_000_000_000) as i64;
        match part {
            "year" => self.year.into(),
            "month" => self.month.into(),
            "day" => self.day.into(),
            "hour" => (second / 3600).into(),
            "minute" => (second / 60 % 60).into(),
            "second" => (second % 60).into(),
            "weekday" => self.weekday.into(),
            _ => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day).into(),
        }
    }
}
