//! How a call's parameters travel: all of them as a form, or its own ones as JSON behind a query with the common ones.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::sign::{self, Algorithm};
use super::wire::param;

/// Where a method's own parameters, the business parameters, are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// In a form, beside the common parameters and signed like them. **\[doc\]**
    #[default]
    Form,
    /// In a JSON object, which is not signed; the common parameters are in the query string. **\[sdk\]**
    Json,
}

/// A call's parameters, signed, as they are before any encoding. A login's hold the password, so they are never printed.
#[derive(Clone, PartialEq)]
pub(super) enum Signed {
    /// The body is a form with all of them.
    Form(BTreeMap<String, String>),
    /// The common ones are in the query string, the others in the body.
    Json { query: BTreeMap<String, String>, body: Map<String, Value> },
}

impl Signed {
    /// Signs a call. `common` is without the signature; `business` is of texts, numbers and booleans.
    pub(super) fn new(
        common: BTreeMap<String, String>,
        business: &[(&str, Value)],
        body: Body,
        secret: &SecretString,
        algorithm: Algorithm,
    ) -> Self {
        let sign = |mut parameters: BTreeMap<String, String>| {
            let signature = sign::signature(&parameters, secret, algorithm);
            parameters.insert(param::SIGNATURE.to_owned(), signature);
            parameters
        };
        let business = business.iter().map(|(name, value)| ((*name).to_owned(), value));
        match body {
            Body::Form => {
                Self::Form(sign(common.into_iter().chain(business.map(|(name, value)| (name, text(value)))).collect()))
            }
            Body::Json => {
                let body = business.map(|(name, value)| (name, value.clone())).collect();
                Self::Json { query: sign(common), body }
            }
        }
    }
}

/// A value as a form has it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signed(device: i64, body: Body) -> Signed {
        let common = [("_aid", "S107"), ("_akey", "key")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let business = [("deviceId", json!(device)), ("permanent", json!(true)), ("name", json!("a \"b\""))];
        Signed::new(common.into(), &business, body, &SecretString::from("hush"), Algorithm::Md5)
    }

    #[test]
    fn a_form_holds_every_parameter_as_text_and_the_signature_of_all() {
        let Signed::Form(one) = signed(5, Body::Form) else { panic!("a form was asked for") };
        assert_eq!(
            (one["deviceId"].as_str(), one["permanent"].as_str(), one["name"].as_str()),
            ("5", "true", "a \"b\"")
        );
        // printf 'hush_aidS107_akeykeydeviceId5namea "b"permanenttruehush' | md5sum
        assert_eq!(one["_sig"], "0A300907D9261F76040075F6DE5CE66F");
        assert_eq!(one.len(), 6);
    }

    #[test]
    fn a_json_body_keeps_types_and_is_not_signed() {
        let Signed::Json { query, body } = signed(5, Body::Json) else { panic!("JSON was asked for") };
        let written = serde_json::to_string(&body).expect("values can be written");
        assert_eq!(written, r#"{"deviceId":5,"name":"a \"b\"","permanent":true}"#);
        assert_eq!(query.keys().map(String::as_str).collect::<Vec<_>>(), ["_aid", "_akey", "_sig"]);
        // printf hush_aidS107_akeykeyhush | md5sum
        assert_eq!(query["_sig"], "00C4ED953D6419D73C1DA59146F82053");
        assert!(matches!(signed(6, Body::Json), Signed::Json { query: other, .. } if other == query));
    }
}
