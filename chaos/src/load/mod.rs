//! Customers of [`bank`] and [`shop`] who ask at a constant rate, and write down what they asked for
//! and what they were told. [`asking`] is how they read an answer.

pub(crate) mod asking;
pub(crate) mod bank;
pub(crate) mod shop;

use crate::site::Systems;
use anyhow::Result;
use bank::BankLoad;
use futures_util::{StreamExt as _, future::join_all, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shop::ShopLoad;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Requests that may be under way at a time; when all wait for an answer the rate is lower.
const AT_A_TIME: usize = 48;
/// One action of so many is the shop's.
const SHOP_OF: u32 = 4;
/// Requests whose fate is looked up at a time.
const FOLLOWED_AT_A_TIME: usize = 8;

/// The customers of both.
pub(crate) struct Load<'a> {
    pub(crate) bank: BankLoad<'a>,
    pub(crate) shop: ShopLoad<'a>,
    seed: u64,
    /// Actions a second.
    rate: u32,
    over: AtomicBool,
}

impl<'a> Load<'a> {
    /// Registers customers, and puts products into the shop.
    ///
    /// # Errors
    /// A system that is well refuses.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn open(systems: &'a Systems, seed: u64, rate: u32) -> Result<Self> {
        Ok(Self {
            bank: BankLoad::open(systems, seed).await?,
            shop: ShopLoad::open(systems, seed).await?,
            seed,
            rate,
            over: AtomicBool::new(false),
        })
    }

    /// Asks until it is told to stop; what was begun is ended.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, requests are given up.
    pub(crate) async fn run(&self) {
        let between = Duration::from_secs(1) * u32::try_from(AT_A_TIME).unwrap_or(1) / self.rate;
        let asking = (0_u32..).take(AT_A_TIME).map(async |number| {
            let mut dice = StdRng::seed_from_u64(self.seed ^ (u64::from(number) << 32));
            // Not all at the same time.
            let mut due = Instant::now() + between.mul_f64(dice.random_range(0.0..1.0));
            while !self.over.load(Ordering::Relaxed) {
                sleep_until(due).await;
                due = Instant::now().max(due + between);
                if dice.random_ratio(1, SHOP_OF) {
                    self.shop.act(&mut dice).await;
                } else {
                    self.bank.act(&mut dice).await;
                }
            }
        });
        join_all(asking).await;
    }

    /// Lets it end.
    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Asks again, under the same keys, for what nobody knows the fate of: all registrations, and
    /// every other one of the rest. What became of the others the books say alone.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, some are not asked for.
    pub(crate) async fn follow_up(&self) {
        let bank = stream::iter(self.bank.unknown())
            .for_each_concurrent(FOLLOWED_AT_A_TIME, |order| self.bank.follow_up(order));
        let registrations = stream::iter(self.bank.unknown_registrations())
            .for_each_concurrent(1, |number| self.bank.register_again(number));
        let shop = stream::iter(self.shop.unknown())
            .for_each_concurrent(FOLLOWED_AT_A_TIME, |order| self.shop.follow_up(order));
        tokio::join!(bank, registrations, shop);
    }
}
