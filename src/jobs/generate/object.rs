//! A JSON object put together member by member, some left out.

use super::defects::Damage;
use std::fmt;
use std::io::Write as _;

pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    damage: &'a Damage,
    names: &'static [&'static str],
    field: usize,
    empty: bool,
}

impl<'a> Object<'a> {
    /// An object whose members come in the order of `names`.
    pub(super) fn begin(out: &'a mut Vec<u8>, damage: &'a Damage, names: &'static [&'static str]) -> Self {
        out.push(b'{');
        Self { out, damage, names, field: 0, empty: true }
    }

    /// The next member, a string. Nothing that is made here needs an escape.
    pub(super) fn text(&mut self, value: impl fmt::Display) -> &mut Self {
        self.member(format_args!("\"{value}\""))
    }

    /// The next member, as it is written.
    pub(super) fn member(&mut self, value: impl fmt::Display) -> &mut Self {
        let field = self.field;
        self.field += 1;
        if let Some(name) = self.names.get(field)
            && !self.damage.lacks(field)
        {
            let comma = if self.empty { "" } else { "," };
            let _ = write!(self.out, "{comma}\"{name}\":{value}");
            self.empty = false;
        }
        self
    }

    pub(super) fn end(&mut self) {
        self.out.push(b'}');
    }
}
