//! stub
#![allow(missing_docs)]
use crate::flv;
use crate::judge;
use crate::recording::{Container, MediaFacts};
#[derive(Debug, Clone)]
pub enum Examiner {
    Flv(Box<flv::Parser>),
}
#[derive(Debug, Clone)]
pub struct Examined {
    pub media: MediaFacts,
    pub good_bytes: u64,
    pub total_bytes: u64,
    pub problem: Option<String>,
    pub note: String,
}
impl Examiner {
    pub fn new(_container: Container) -> Self {
        Self::Flv(Box::new(flv::Parser::new()))
    }
    pub fn push(&mut self, bytes: &[u8]) {
        let Self::Flv(p) = self;
        p.push(bytes)
    }
    pub fn examined(&self) -> Examined {
        let Self::Flv(p) = self;
        let report = p.report();
        Examined {
            media: report.media_facts(),
            good_bytes: report.good_bytes,
            total_bytes: report.total_bytes,
            problem: (!report.has_frames()).then(|| "no frames".to_owned()),
            note: judge::notes(&report, 5),
        }
    }
}
