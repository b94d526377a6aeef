//! The program as its user runs it, on real servers.

mod calls;
mod control;
mod events;
mod letters;
mod looks;
mod program;
mod schedule;
mod services;
mod settings;
mod shop;
