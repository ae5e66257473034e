//! The gateway's own reckoning of a signature, written apart from the client's, so that one mistake cannot confirm
//! itself.

use std::collections::BTreeMap;

use md5::Md5;
use sha1::{Digest, Sha1};

use crate::platform::wire::param;

/// The two algorithms of `_sm`. **\[doc\]**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `md5`
    Md5,
    /// `sha1`
    Sha1,
}

impl Algorithm {
    /// The algorithm that `_sm` names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "md5" => Some(Self::Md5),
            "sha1" => Some(Self::Sha1),
            _ => None,
        }
    }
}

/// What `_sig` must be: every parameter but `_sig`, by name in the order of bytes, name and value joined with nothing
/// between, the secret before and after; upper-case hexadecimal. **\[sdk\]**
pub fn expected(parameters: &BTreeMap<String, String>, secret: &str, algorithm: Algorithm) -> String {
    let mut text = String::from(secret);
    for (name, value) in parameters.iter().filter(|(name, _)| *name != param::SIGNATURE) {
        text.push_str(name);
        text.push_str(value);
    }
    text.push_str(secret);
    match algorithm {
        Algorithm::Md5 => hex::encode_upper(Md5::digest(text)),
        Algorithm::Sha1 => hex::encode_upper(Sha1::digest(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> BTreeMap<String, String> {
        text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn the_vendors_examples_come_out() {
        let first = parameters(
            "_aid=S107 _akey=test _mt=open.demo.queryOpenAccount _requestMode=post _sm=md5 _timestamp=20171221132407 \
             _version=v1 orgid=1",
        );
        assert_eq!(expected(&first, "test", Algorithm::Md5), "5489704B80A47394025527D6D51FB582");
        let second = parameters(
            "_aid=S107 _akey=S107-0000xxxx _requestMode=post _sm=md5 _timestamp=20191128141620 _version=v1 \
             _mt=open.gateway.getBusinessOrg orgid=11111 starttime=-------- endtime=----- _sig=left-out",
        );
        assert_eq!(expected(&second, &"x".repeat(31), Algorithm::Md5), "B657F7CA341BB5C9C162603B9389DAA9");
    }

    /// `printf 'saa1bb2s' | sha1sum`, with the parameters given in the wrong order.
    #[test]
    fn sha1_is_the_other_algorithm() {
        let signed = expected(&parameters("bb=2 aa=1"), "s", Algorithm::Sha1);
        assert_eq!(signed, "2E18E1A8602B91065E112361F894CB6AE97A8725");
    }
}
