//! What goes wrong in a simulation under way, at its step or at its time.

use super::{CONFIRM_WITHIN, Event, HEARTBEATS_MISSED, RECONNECTS_WITHIN, Run, STRIDE};
use crate::{
    fault::Fault,
    flights::Up,
    process::Process,
    wire::{Act, Lane, Link, Sent},
};
use std::{sync::Arc, time::Duration};

impl Run {
    /// Takes what a process has sent, step by step, each with the faults that are due.
    pub(super) fn take(&mut self, index: usize, sent: Vec<Sent>) {
        for sent in sent {
            let Some(process) = self.processes.get_mut(index) else {
                return;
            };
            process.steps += 1;
            let step = process.steps;
            let Some(life) = &process.life else { return };
            if sent.lane.is_broker() && (sent.link != life.link.number || !life.link.is_up) {
                continue;
            }
            self.note(index, format_args!("{step}: {} {}", sent.what, sent.about));
            let faults = self.faults_at(index, step, &sent);
            let mut up = Up::new(index, life_number(&self.processes, index), step, sent);
            let (mut is_taken, mut after) = (true, Vec::new());
            for (number, fault) in faults {
                self.note(index, format_args!("FAULT {number}: {fault}"));
                self.struck.push(number);
                match fault {
                    Fault::Delay { by, .. } => up.late += by,
                    Fault::Duplicate { .. } => up.times = 2,
                    Fault::LoseConfirm { .. } => up.answer_lost = Some(CONFIRM_WITHIN),
                    Fault::LoseStoreStep { taken: true, .. } => up.answer_lost = Some(STRIDE),
                    Fault::LoseStoreStep { .. } => is_taken = false,
                    Fault::Crash { taken, .. } | Fault::Cut { taken, .. } => {
                        is_taken &= taken;
                        after.push(fault);
                    }
                    other => after.push(other),
                }
            }
            if is_taken {
                let latency = self.latency();
                self.flights.send_up(self.now + latency, up);
            }
            for fault in &after {
                match *fault {
                    Fault::Pause { pause, .. } => self.pause(index, pause),
                    Fault::Cut { taken, down, .. } => self.cut(index, taken, down),
                    _ => {}
                }
            }
            let down = after.iter().find_map(|fault| match fault {
                Fault::Crash { down, .. } => Some(*down),
                _ => None,
            });
            if let Some(down) = down {
                self.kill(index, down);
                return;
            }
        }
    }

    /// The faults that hit a step: those of a kind of steps hit the next of that kind.
    fn faults_at(&mut self, index: usize, step: u32, sent: &Sent) -> Vec<(usize, Fault)> {
        let is_publish = matches!(sent.act, Act::Publish(_));
        let hits = |fault: &Fault| match fault.step() {
            Some((process, from)) if process == index && from <= step => match fault {
                Fault::Cut { .. } => sent.lane.is_broker(),
                Fault::LoseStoreStep { .. } => sent.lane == Lane::Store,
                Fault::LoseConfirm { .. } | Fault::Duplicate { .. } => is_publish,
                _ => true,
            },
            _ => false,
        };
        self.pending
            .extract_if(.., |(_, fault)| hits(fault))
            .collect()
    }

    fn kill(&mut self, index: usize, down: Duration) {
        let Some(process) = self.processes.get_mut(index) else {
            return;
        };
        process.is_done = false;
        let Some(life) = process.life.take() else {
            return;
        };
        let session = life.kill();
        // What it had sent reaches the servers before they see its end.
        let end = self.flights.last_due(index).max(self.now) + STRIDE;
        self.schedule(end, Event::EndSession(session));
        self.schedule(end.max(self.now + down), Event::Start(index));
    }

    fn pause(&mut self, index: usize, pause: Duration) {
        let (end, now) = (self.now + pause, self.now);
        self.all_go_on_at = self.all_go_on_at.max(end);
        let Some(life) = self.life(index) else { return };
        life.paused_until = Some(end);
        let life = life.session.life;
        if pause >= HEARTBEATS_MISSED {
            self.schedule(
                now + HEARTBEATS_MISSED,
                Event::Silent {
                    process: index,
                    life,
                },
            );
        }
    }

    /// The broker gives up a process that stands still: what it had sent is in that one's buffers.
    pub(super) fn give_up(&mut self, index: usize, number: u32) {
        if self
            .life(index)
            .is_none_or(|life| life.session.life != number)
        {
            return;
        }
        for flight in self.flights.take_broker_downs(index) {
            self.arrive(flight);
        }
        self.note(index, format_args!("is silent for too long"));
        self.lose_link(index);
        if let Some(session) = self.life(index).map(|life| Arc::clone(&life.session)) {
            self.servers.within(session.disconnect(None));
        }
        let left = self.life(index).and_then(|life| life.paused_until);
        let left = left.map_or(Duration::ZERO, |end| end.saturating_sub(self.now));
        self.link_up_after(index, left);
    }

    /// Cuts the connection of a process to the broker; what it had sent reached that, or did not.
    fn cut(&mut self, index: usize, taken: bool, down: Duration) {
        let Some(life) = self.life(index) else { return };
        let session = Arc::clone(&life.session);
        self.lose_link(index);
        drop(self.flights.take_broker_downs(index));
        let mut seen = self.now;
        if taken {
            self.flights.lose_broker_answers(index);
            seen = self.flights.last_due(index).max(seen) + STRIDE;
            self.schedule(seen, Event::Disconnect(session));
        } else {
            drop(self.flights.take_broker_ups(index));
            self.servers.within(session.disconnect(None));
        }
        let left = seen.saturating_sub(self.now) + down + STRIDE;
        self.link_up_after(index, left);
    }

    fn lose_link(&mut self, index: usize) {
        if let Some(life) = self.life(index) {
            life.link = Link {
                number: life.link.number + 1,
                is_up: false,
            };
            life.tell_link(life.link);
        }
    }

    /// Gives a process a connection after a time; the broker has to be up by then.
    pub(super) fn link_up_after(&mut self, index: usize, after: Duration) {
        let soon = Duration::from_millis(self.chance.between(1, RECONNECTS_WITHIN));
        let at = self.now + after + soon;
        let Some(life) = self.life(index) else { return };
        let (number, life) = (life.link.number, life.session.life);
        self.schedule(
            at,
            Event::LinkUp {
                process: index,
                life,
                number,
            },
        );
    }

    /// Restarts a server.
    pub(super) fn restart(&mut self, number: usize, fault: &Fault) {
        self.struck.push(number);
        match *fault {
            Fault::RestartBroker {
                down, keeps_data, ..
            } => {
                self.trace
                    .note(self.now, "broker", format_args!("FAULT {number}: {fault}"));
                for process in 0..self.processes.len() {
                    self.cut(process, false, down);
                }
                if keeps_data {
                    self.servers.lose_transient();
                } else {
                    self.servers.lose_queues();
                    self.lost_queues = true;
                }
                self.broker_is_up = false;
                self.schedule(self.now + down, Event::BrokerUp);
            }
            Fault::RestartStore {
                down, keeps_data, ..
            } => {
                self.trace
                    .note(self.now, "store", format_args!("FAULT {number}: {fault}"));
                self.flights.lose_store(if keeps_data {
                    Some(self.now + down)
                } else {
                    None
                });
                if !keeps_data {
                    self.servers.lose_records();
                    self.lost_records = true;
                }
                self.was_without_store = true;
                self.store_is_up = false;
                self.schedule(self.now + down, Event::StoreUp);
            }
            _ => {}
        }
    }
}

fn life_number(processes: &[Process], index: usize) -> u32 {
    processes.get(index).map_or(0, |process| process.lives)
}
