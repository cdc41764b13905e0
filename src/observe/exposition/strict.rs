//! For tests: reads the text format and forgives nothing, more strictly than Prometheus does.

use std::collections::BTreeSet;

/// A family with its samples.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    /// Of a histogram: what stands behind the family's name.
    pub(crate) suffix: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// All families of a text, or what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Vec<Read>, String> {
    if text.contains('\0') {
        return Err("a NUL".to_owned());
    }
    let lines = text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n');
    let mut families: Vec<Read> = Vec::new();
    let mut typed = true;
    for line in lines {
        let wrong = |what: &str| format!("{what}: {line:?}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(wrong("no help"))?;
            if families.iter().any(|one| one.name == name) {
                return Err(wrong("a family twice"));
            }
            if !is_name(name, true) || !typed {
                return Err(wrong("no name, or the family before it has no type"));
            }
            let (help, rest) = unescape(help, None).ok_or(wrong("no such escape"))?;
            assert!(rest.is_empty());
            families.push(Read { name: name.to_owned(), help, kind: String::new(), samples: Vec::new() });
            typed = false;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let family = families.last_mut().ok_or(wrong("a type before any help"))?;
            let kind = rest.strip_prefix(&format!("{} ", family.name)).ok_or(wrong("the type of something else"))?;
            if typed || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(wrong("a type twice, or no such type"));
            }
            if (kind == "counter") != family.name.ends_with("_total") {
                return Err(wrong("counters, and only they, end in _total"));
            }
            family.kind = kind.to_owned();
            typed = true;
        } else {
            let family = families.last_mut().filter(|_| typed).ok_or(wrong("a sample without help and type"))?;
            let is_histogram = family.kind == "histogram";
            let sample = sample(line, &family.name, is_histogram).ok_or(wrong("no sample of this family"))?;
            let le = sample.labels.iter().any(|(name, _)| name == "le");
            if is_histogram && (le != (sample.suffix == "_bucket") || sample.value < 0.0) {
                return Err(wrong("buckets, and only they, have an end, and nothing is below zero"));
            }
            if family.kind == "counter" && sample.value < 0.0 {
                return Err(wrong("a counter below zero"));
            }
            if family.samples.iter().any(|other| (&other.suffix, &other.labels) == (&sample.suffix, &sample.labels)) {
                return Err(wrong("a sample twice"));
            }
            family.samples.push(sample);
        }
    }
    for family in families.iter().filter(|family| family.kind == "histogram") {
        is_histogram(family).ok_or(format!("{}: no histogram", family.name))?;
    }
    Ok(families)
}

/// Buckets by their ends, each with all that is in the ones before, the last one with all there is.
fn is_histogram(family: &Read) -> Option<()> {
    let of = |suffix: &'static str| family.samples.iter().filter(move |one| one.suffix == suffix);
    let end = |one: &Sample| match one.labels.as_slice() {
        [(_, le)] if le == "+Inf" => Some(f64::INFINITY),
        [(_, le)] => le.parse::<f64>().ok(),
        _ => None,
    };
    let buckets: Vec<(f64, f64)> = of("_bucket").map(|one| Some((end(one)?, one.value))).collect::<Option<_>>()?;
    let (last, count) = (buckets.last()?, of("_count").next()?.value);
    let grows = buckets.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1);
    (grows && *last == (f64::INFINITY, count) && of("_sum").count() == 1).then_some(())
}

fn sample(line: &str, family: &str, is_histogram: bool) -> Option<Sample> {
    let mut rest = line.strip_prefix(family)?;
    let mut suffix = "";
    if is_histogram {
        suffix = ["_bucket", "_sum", "_count"].into_iter().find(|suffix| rest.starts_with(suffix))?;
        rest = &rest[suffix.len()..];
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (name, after) = inside.split_once("=\"")?;
            let (value, after) = unescape(after, Some('"'))?;
            labels.push((is_name(name, false).then(|| name.to_owned())?, value));
            match after.strip_prefix(',') {
                Some(next) => inside = next,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
    if names.len() != labels.len() {
        return None;
    }
    let value = match rest.strip_prefix(' ')? {
        "NaN" => f64::NAN,
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok().filter(|_| number.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c)))?,
    };
    Some(Sample { suffix: suffix.to_owned(), labels, value })
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    name.starts_with(fits) && name.chars().all(|c| fits(c) || c.is_ascii_digit())
}

/// Up to the closing character, or to the end; and what comes after it.
fn unescape(text: &str, closing: Option<char>) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if Some(c) == closing => return Some((out, &text[at + 1..])),
            '\\' => out.push(match chars.next()?.1 {
                '\\' => '\\',
                'n' => '\n',
                '"' if closing.is_some() => '"',
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    closing.is_none().then_some((out, ""))
}
