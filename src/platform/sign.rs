//! The signature that every call carries. **\[sdk\]**
//!
//! Every parameter but `_sig`, sorted by name, name and value joined without anything between, the secret before and
//! after; MD5 or SHA-1 over UTF-8, as upper-case hexadecimal.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;

use super::wire::param;

/// How a call is signed: the values that `_sm` may have. **\[doc\]**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `md5`
    Md5,
    /// `sha1`
    Sha1,
}

impl Algorithm {
    /// The value of `_sm`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
    }
}

/// The value of `_sig` for these parameters, which are as they are before URL encoding. A map sorts them as the platform
/// does: by the bytes of their names, capitals before lower case.
pub fn signature(parameters: &BTreeMap<String, String>, secret: &SecretString, algorithm: Algorithm) -> String {
    let mut text = secret.expose_secret().to_owned();
    for (name, value) in parameters.iter().filter(|(name, _)| name.as_str() != param::SIGNATURE) {
        text.push_str(name);
        text.push_str(value);
    }
    text.push_str(secret.expose_secret());
    match algorithm {
        Algorithm::Md5 => hex::encode_upper(Md5::digest(text)),
        Algorithm::Sha1 => hex::encode_upper(Sha1::digest(text)),
    }
}

/// Lower-case MD5 of a password, as `ssoLogin` wants it. **\[sdk\]**
pub(super) fn password_digest(password: &SecretString) -> String {
    hex::encode(Md5::digest(password.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(parameters: &[(&str, &str)], secret: &str, algorithm: Algorithm) -> String {
        let parameters = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        signature(&parameters, &SecretString::from(secret), algorithm)
    }

    const FIRST: [(&str, &str); 8] = [
        ("_aid", "S107"),
        ("_akey", "test"),
        ("_mt", "open.demo.queryOpenAccount"),
        ("_requestMode", "post"),
        ("_sm", "md5"),
        ("_timestamp", "20171221132407"),
        ("_version", "v1"),
        ("orgid", "1"),
    ];

    /// Both worked examples that public SDKs hold.
    #[test]
    fn the_published_examples_are_signed_alike() {
        assert_eq!(sign(&FIRST, "test", Algorithm::Md5), "5489704B80A47394025527D6D51FB582");
        let second = [
            ("_aid", "S107"),
            ("_akey", "S107-0000xxxx"),
            ("_requestMode", "post"),
            ("_sm", "md5"),
            ("_timestamp", "20191128141620"),
            ("_version", "v1"),
            ("_mt", "open.gateway.getBusinessOrg"),
            ("orgid", "11111"),
            ("starttime", "--------"),
            ("endtime", "-----"),
        ];
        assert_eq!(sign(&second, &"x".repeat(31), Algorithm::Md5), "B657F7CA341BB5C9C162603B9389DAA9");
    }

    #[test]
    fn the_signature_does_not_sign_itself_and_follows_the_algorithm() {
        let mut with_signature = FIRST.to_vec();
        with_signature.push(("_sig", "anything"));
        assert_eq!(sign(&with_signature, "test", Algorithm::Md5), sign(&FIRST, "test", Algorithm::Md5));
        // `printf 'test_aid…orgid1test' | sha1sum` of the first example's text.
        assert_eq!(sign(&FIRST, "test", Algorithm::Sha1), "AF839432F50A4FAFCC241B626321F21ED1D72C5E");
    }
}
