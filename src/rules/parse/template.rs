//! Templates of `derive`: text with `{field}` in it; `{{` and `}}` are braces.

use crate::rules::paths::Paths;
use crate::rules::step::Piece;

pub(super) fn pieces(template: &str, paths: &mut Paths) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        let doubled = ["{{", "}}"].into_iter().find(|doubled| behind.starts_with(doubled));
        if let Some(doubled) = doubled {
            text.push_str(&doubled[..1]);
            rest = &behind[2..];
            continue;
        }
        let Some(inside) = behind.strip_prefix('{') else {
            return Err("a } stands alone; write }} for a brace".to_owned());
        };
        let (field, behind) =
            inside.split_once('}').ok_or("a { does not end; write {field}, or {{ for a brace".to_owned())?;
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text).into_bytes().into()));
        }
        pieces.push(Piece::Field(paths.field(field)?));
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into_bytes().into()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_braces_and_braces_are_doubled() {
        let mut paths = Paths::new();
        let (a, b) = (paths.field("a").unwrap(), paths.field("/b/c").unwrap());
        let text = |text: &str| Piece::Text(text.as_bytes().into());
        for (template, expected) in [
            ("", vec![]),
            ("x", vec![text("x")]),
            ("{a}", vec![Piece::Field(a)]),
            ("x{a}{/b/c}y", vec![text("x"), Piece::Field(a), Piece::Field(b), text("y")]),
            ("{{{a}}}", vec![text("{"), Piece::Field(a), text("}")]),
            ("é{{}}", vec![text("é{}")]),
        ] {
            assert_eq!(pieces(template, &mut paths).unwrap(), expected, "{template}");
        }
        for (wrong, part) in [("{a", "does not end"), ("a}", "stands alone"), ("{}", "empty"), ("{/a~2}", "~0")] {
            assert!(pieces(wrong, &mut paths).unwrap_err().contains(part), "{wrong}");
        }
    }
}
