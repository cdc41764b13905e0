//! From numbers to places on an axis, and the round numbers that are written on it.

/// See the module's head.
pub(super) struct Scale {
    /// The numbers at both ends; their logarithms where it is logarithmic.
    values: (f64, f64),
    /// The places of both.
    places: (f64, f64),
    ticks: Vec<f64>,
    logarithmic: bool,
}

/// Numbers beyond this are drawn at the edge: what they are worth no axis can tell.
const LARGEST: f64 = 1e15;

impl Scale {
    /// From zero (or the least number, if it is below) to a round number that is not below the largest, with about so many
    /// ticks, `step_min` apart or more.
    pub(super) fn linear(values: impl Iterator<Item = f64>, from: f64, to: f64, ticks: u32, step_min: f64) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
        (low, high) = (low.max(-LARGEST), high.min(LARGEST));
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        let step = round_step((high - low) / f64::from(ticks)).max(step_min);
        let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
        let ticks = (0..=(last - first) as u32).map(|index| (first + f64::from(index)) * step).collect();
        Self { values: (first * step, last * step), places: (from, to), ticks, logarithmic: false }
    }

    /// From a power of ten to another one.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            let exponent = value.clamp(1.0 / LARGEST, LARGEST).log10();
            (low, high) = (low.min(exponent), high.max(exponent));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let (low, mut high) = ((low + 1e-9).floor(), (high - 1e-9).ceil());
        if high <= low {
            high = low + 1.0;
        }
        let ticks = (low as i32..=high as i32).map(|exponent| 10_f64.powi(exponent)).collect();
        Self { values: (low, high), places: (from, to), ticks, logarithmic: true }
    }

    /// Where a number is.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(1.0 / LARGEST).log10() } else { value };
        let share = ((value - self.values.0) / (self.values.1 - self.values.0)).clamp(0.0, 1.0);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// The numbers on the axis, and how they are written.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let linear_step = match &self.ticks[..] {
            [a, b, ..] if !self.logarithmic => Some(b - a),
            _ => None,
        };
        self.ticks.iter().map(move |tick| (*tick, label(*tick, linear_step.unwrap_or(*tick))))
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors.into_iter().map(|factor| factor * power).find(|round| *round >= step * (1.0 - 1e-9)).unwrap_or(step)
}

/// A number as precise as steps of this size need it: `1.5 M`, `20 k`, `0.25`.
fn label(value: f64, step: f64) -> String {
    let units = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (scale, unit) = units.into_iter().find(|(scale, _)| value.abs() >= *scale).unwrap_or((1.0, ""));
    let decimals = (-(step / scale).log10().floor()).clamp(0.0, 15.0) as usize;
    let text = format!("{:.decimals$}", value / scale);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().map(|(_, label)| label).collect()
    }

    fn linear(values: &[f64]) -> Scale {
        Scale::linear(values.iter().copied(), 0.0, 100.0, 5, 0.0)
    }

    #[test]
    fn an_axis_begins_at_zero_and_ends_at_a_round_number() {
        assert_eq!(labels(&linear(&[3.0, 97.0])), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&linear(&[2_400_000.0])), ["0", "500 k", "1 M", "1.5 M", "2 M", "2.5 M"]);
        assert_eq!(labels(&linear(&[0.0004])), ["0", "0.0001", "0.0002", "0.0003", "0.0004"]);
        assert_eq!(labels(&linear(&[-1.0, 3.0])), ["-1", "0", "1", "2", "3"]);
        assert_eq!(labels(&linear(&[])).first().map(String::as_str), Some("0"));
        assert_eq!(labels(&Scale::linear([1.0, 3.0].into_iter(), 0.0, 1.0, 10, 1.0)), ["0", "1", "2", "3"]);
        let scale = linear(&[97.0]);
        assert_eq!((scale.place(0.0), scale.place(50.0), scale.place(1e9)), (0.0, 50.0, 100.0));
    }

    #[test]
    fn a_logarithmic_axis_has_the_powers_of_ten_around_its_numbers() {
        let scale = Scale::logarithmic([0.4, 30.0, 2000.0].into_iter(), 0.0, 100.0);
        assert_eq!(labels(&scale), ["0.1", "1", "10", "100", "1 k", "10 k"]);
        assert_eq!((scale.place(0.1), scale.place(10_000.0)), (0.0, 100.0));
        assert_eq!(scale.place(1.0), 20.0);
        assert_eq!(labels(&Scale::logarithmic([10.0].into_iter(), 0.0, 1.0)), ["10", "100"]);
    }
}
