//! Whether a server that is worked with is away at this moment: noted by whoever asks it, for whoever shows a run.

use tokio::sync::watch;

/// Why one server gives no answer; nothing while it does.
#[derive(Debug)]
pub struct Absence(watch::Sender<Option<String>>);

impl Default for Absence {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Absence {
    /// It has given no answer, and is waited for. Says whether that is new.
    pub fn begins(&self, why: &str) -> bool {
        self.0.send_if_modified(|held| {
            let is_new = held.is_none();
            if is_new {
                *held = Some(why.to_owned());
            }
            is_new
        })
    }

    /// It has answered. Says whether it was away until now.
    pub fn ends(&self) -> bool {
        self.0.send_if_modified(|held| held.take().is_some())
    }

    /// Tells of each change from now on, the state of this moment included.
    pub fn watch(&self) -> watch::Receiver<Option<String>> {
        let mut watching = self.0.subscribe();
        watching.mark_changed();
        watching
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let absence = Absence::default();
        assert!(!absence.ends(), "it was never away");
        assert!(absence.begins("refused") && !absence.begins("refused again"));
        assert_eq!(absence.watch().borrow().as_deref(), Some("refused"));
        assert!(absence.ends() && !absence.ends());
    }
}
