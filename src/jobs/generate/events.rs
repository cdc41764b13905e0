//! Orders of a shop, as a stream of events: created, paid, shipped, delivered, and now and then cancelled or returned.
//!
//! A few hundred orders are under way at a time; each event begins one or takes one a step further. The order's id is the key,
//! so that its events stay in one partition and in order.

use super::defects::{Damage, Defects};
use super::object::Object;
use super::random::SplitMix64;
use super::stream::Samples;
use crate::base::time::show_epoch_ms;
use crate::jobs::error::JobError;
use std::io::Write as _;

/// What the events are like.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventsSettings {
    /// What is wrong with some.
    pub defects: Defects,
}

/// The members of an event, in their order.
pub const EVENT_FIELDS: &[&str] = &[
    "event_id",
    "order_id",
    "type",
    "customer_id",
    "country",
    "currency",
    "amount",
    "items",
    "channel",
    "occurred_at",
];

const OPEN_MAX: usize = 300;
const COUNTRIES: &[(&str, &str)] =
    &[("DE", "EUR"), ("FR", "EUR"), ("US", "USD"), ("GB", "GBP"), ("JP", "JPY"), ("BR", "BRL"), ("IN", "INR")];
const CHANNELS: &[&str] = &["web", "app", "shop", "phone"];
const ARTICLES: &[&str] = &["lamp", "chair", "table", "kettle", "mug", "rug", "shelf", "clock"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Paid,
    Shipped,
    Delivered,
    Cancelled,
    Returned,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Returned => "returned",
        }
    }

    /// The step behind this one, if the order goes on.
    fn next(self, random: &mut SplitMix64) -> Option<Self> {
        let goes_well = !random.happens(0.07);
        match (self, goes_well) {
            (Self::Created, true) => Some(Self::Paid),
            (Self::Paid, true) => Some(Self::Shipped),
            (Self::Shipped, _) => Some(Self::Delivered),
            (Self::Created | Self::Paid, false) => Some(Self::Cancelled),
            (Self::Delivered, false) => Some(Self::Returned),
            (Self::Delivered, true) | (Self::Cancelled | Self::Returned, _) => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Order {
    number: u64,
    step: Step,
}

pub(super) struct Events {
    seed: u64,
    random: SplitMix64,
    damage: Damage,
    open: Vec<Order>,
    orders: u64,
    events: u64,
}

impl Events {
    pub(super) fn new(settings: &EventsSettings, seed: u64) -> Result<Self, JobError> {
        let damage = Damage::new(&settings.defects, EVENT_FIELDS, seed)?;
        Ok(Self { seed, random: SplitMix64::new(seed, 0), damage, open: Vec::new(), orders: 0, events: 0 })
    }

    /// Takes an order a step further, or begins one.
    fn advance(&mut self) -> Order {
        loop {
            let begins = self.open.is_empty() || self.open.len() < OPEN_MAX && self.random.happens(0.3);
            if begins {
                self.orders += 1;
                let order = Order { number: self.orders, step: Step::Created };
                self.open.push(order);
                return order;
            }
            let at = self.random.below(self.open.len() as u64) as usize;
            match self.open[at].step.next(&mut self.random) {
                Some(step) => {
                    self.open[at].step = step;
                    return self.open[at];
                }
                None => {
                    self.open.swap_remove(at);
                }
            }
        }
    }
}

impl Samples for Events {
    fn next(&mut self, at_ms: i64, key: &mut Option<Vec<u8>>, value: &mut Vec<u8>) -> bool {
        let order = self.advance();
        self.events += 1;
        // What belongs to the order is the same in each of its events.
        let mut of_order = SplitMix64::new(self.seed, order.number);
        let (country, currency) = of_order.one_of(COUNTRIES).unwrap_or_default();
        let (customer, channel) = (of_order.below(10_000), of_order.one_of(CHANNELS).unwrap_or_default());
        let (mut cents, mut items) = (0, String::from("["));
        for item in 0..1 + of_order.below(4) {
            let (article, count) = (of_order.one_of(ARTICLES).unwrap_or_default(), 1 + of_order.below(3));
            let price = 199 + of_order.below(20_000);
            cents += count * price;
            use std::fmt::Write as _;
            let comma = if item == 0 { "" } else { "," };
            let price = Cents(price);
            let _ = write!(items, "{comma}{{\"article\":\"{article}\",\"count\":{count},\"price\":{price}}}");
        }
        items.push(']');
        self.damage.decide();
        Object::begin(value, &self.damage, EVENT_FIELDS)
            .text(format_args!("e-{:08}", self.events))
            .text(format_args!("o-{:07}", order.number))
            .text(order.step.name())
            .text(format_args!("c-{customer:05}"))
            .text(country)
            .text(currency)
            .member(Cents(cents))
            .member(&items)
            .text(channel)
            .text(show_epoch_ms(at_ms))
            .end();
        self.damage.cut(value);
        let key = key.get_or_insert_default();
        key.clear();
        let _ = write!(key, "o-{:07}", order.number);
        true
    }
}

/// An amount with two decimals.
struct Cents(u64);

impl std::fmt::Display for Cents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn events(count: usize) -> Vec<(String, Value)> {
        let mut events = Events::new(&EventsSettings::default(), 5).unwrap();
        let mut next = |ms: usize| {
            let (mut key, mut value) = (None, Vec::new());
            assert!(events.next(ms as i64, &mut key, &mut value));
            (String::from_utf8(key.unwrap()).unwrap(), serde_json::from_slice(&value).unwrap())
        };
        (0..count).map(&mut next).collect()
    }

    #[test]
    fn each_order_goes_its_way_step_by_step_and_keeps_what_it_is() {
        let mut orders: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (key, event) in events(5000) {
            assert_eq!(event.as_object().unwrap().keys().collect::<Vec<_>>(), EVENT_FIELDS);
            assert_eq!(event["order_id"], key.as_str());
            orders.entry(key).or_default().push(event);
        }
        assert!(orders.len() > 1000);
        let ways = ["created,paid,shipped,delivered,returned", "created,cancelled", "created,paid,cancelled"];
        for events in orders.values() {
            let steps: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
            assert!(ways.iter().any(|way| way.starts_with(&steps.join(","))), "{steps:?}");
            assert!(
                events
                    .iter()
                    .all(|event| event["amount"] == events[0]["amount"] && event["items"] == events[0]["items"])
            );
        }
    }

    #[test]
    fn the_amount_is_the_sum_of_the_items() {
        for (_, event) in events(200) {
            let cents = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as u64;
            let items = event["items"].as_array().unwrap().iter();
            let sum: u64 = items.map(|item| item["count"].as_u64().unwrap() * cents(&item["price"])).sum();
            assert_eq!(sum, cents(&event["amount"]), "{event}");
        }
    }
}
