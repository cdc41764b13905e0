//! What records are ordered by, as every command that knows keys takes it.

use super::exit::UsageError;
use clap::{Args, ValueEnum};
use kmerge::keys::{KeyPart, KeyPlan, Order};

/// What records are ordered by.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// What to order by: value, key, timestamp, header:NAME or value:json:/POINTER, and a type: int, decimal, be64, string,
    /// bytes or time. Repeat it for a composite key. value:int, if absent.
    #[arg(long, value_name = "SOURCE[:TYPE]")]
    key: Vec<String>,

    /// Which way the keys run, asc if absent; records of equal keys stay in the order of source and offset.
    #[arg(long, value_enum, value_name = "WAY")]
    order: Option<OrderArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderArg {
    Asc,
    Desc,
}

impl OrderArgs {
    /// The keys and the order, checked.
    pub fn plan(&self) -> anyhow::Result<KeyPlan> {
        let order = self.order_typed().unwrap_or_default();
        KeyPlan::parse(&self.key, order).map_err(|message| UsageError::new(message).into())
    }

    /// The keys, if any were typed.
    pub fn keys_typed(&self) -> anyhow::Result<Option<Vec<KeyPart>>> {
        Ok(if self.key.is_empty() { None } else { Some(self.plan()?.parts().to_vec()) })
    }

    /// The order, if it was typed.
    pub fn order_typed(&self) -> Option<Order> {
        self.order.map(|order| match order {
            OrderArg::Asc => Order::Asc,
            OrderArg::Desc => Order::Desc,
        })
    }
}
