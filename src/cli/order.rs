//! What records are ordered by, as every command that knows keys takes it.

use super::exit::UsageError;
use clap::{Args, ValueEnum};
use kmerge::keys::{KeyPlan, Order};

/// What records are ordered by.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// What to order by: value, key, timestamp, header:NAME or value:json:/POINTER, and a type: int, decimal, be64, string,
    /// bytes or time. Repeat it for a composite key. value:int, if absent.
    #[arg(long, value_name = "SOURCE[:TYPE]")]
    key: Vec<String>,

    /// Which way the keys run; records of equal keys stay in the order of source and offset.
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    order: OrderArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum OrderArg {
    #[default]
    Asc,
    Desc,
}

impl OrderArgs {
    /// The keys and the order, checked.
    pub fn plan(&self) -> anyhow::Result<KeyPlan> {
        let order = match self.order {
            OrderArg::Asc => Order::Asc,
            OrderArg::Desc => Order::Desc,
        };
        KeyPlan::parse(&self.key, order).map_err(|message| UsageError::new(message).into())
    }
}
