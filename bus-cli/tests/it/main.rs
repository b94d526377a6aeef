//! The program as its user runs it, on real servers.

mod calls;
mod control;
mod events;
mod letters;
mod program;
mod services;
mod settings;
mod shop;
