//! Fields of kubeadm's documents against the schema: unknown ones, those of another version, wrong types.

use super::documents::Kind;
use super::schema::{ARGUMENT, Field, Type};
use crate::cluster::release::ConfigApi;
use crate::cluster::yaml::located::{Content, Entry, Node};
use crate::inventory::{Fault, Problems, nearest, quoted};

/// Checks a whole document.
pub(super) fn fields(kind: Kind, api: ConfigApi, body: &Node, problems: &mut Problems) {
    let own = body.entries().iter().filter(|entry| !["apiVersion", "kind"].contains(&&*entry.key));
    Checker { api, problems }.entries(own, kind.fields(), kind.as_str());
}

struct Checker<'a> {
    api: ConfigApi,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    /// `of` is what messages call the mapping.
    fn entries<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        fields: &[Field],
        of: &str,
    ) {
        for entry in entries {
            match fields.iter().find(|field| field.name == entry.key) {
                Some(field) if (field.since..=field.until).contains(&self.api) => {
                    self.value(&entry.node, field.of, field.name);
                }
                Some(field) => {
                    let change = if self.api < field.since {
                        format!("it came with {}", field.since.as_str())
                    } else {
                        format!("it went after {}", field.until.as_str())
                    };
                    let title = format!("{} has no field `{}`", self.api.as_str(), field.name);
                    self.problems.push(Fault::new(title, change).at(entry.key_span.clone()));
                }
                None => {
                    let title = format!("unknown field {}", quoted(&entry.key));
                    let fault = Fault::new(title, format!("not a field of `{of}`"));
                    let known = fields
                        .iter()
                        .filter(|field| (field.since..=field.until).contains(&self.api))
                        .map(|field| field.name);
                    let meant = nearest(&entry.key, known);
                    self.problems.push(fault.suggest(meant).at(entry.key_span.clone()));
                }
            }
        }
    }

    fn value(&mut self, node: &Node, of: Type, name: &str) {
        match (&node.value, of) {
            // To Go, null is a field that is left out.
            (Content::Null, _) | (_, Type::Any) => {}
            (Content::Text(_), Type::Text) | (Content::Bool(_), Type::Bool) => {}
            (Content::Number(number), Type::Integer) if number.is_i64() => {}
            (Content::Text(text), Type::Duration) => {
                if duration(text).is_none() {
                    let title = format!("{} is not a duration", quoted(text));
                    let fault = Fault::new(title, "expected one such as `4m0s` or `8760h`");
                    self.problems.push(fault.at(node.span.clone()));
                }
            }
            (Content::List(items), Type::Texts) => {
                for item in items {
                    self.value(item, Type::Text, name);
                }
            }
            (Content::Map(entries), Type::BoolMap) => {
                for entry in entries {
                    self.value(&entry.node, Type::Bool, &entry.key);
                }
            }
            (Content::Map(entries), Type::Arguments) if self.api < ConfigApi::V1Beta4 => {
                for entry in entries {
                    self.value(&entry.node, Type::Text, &entry.key);
                }
            }
            (Content::List(items), Type::Arguments) if self.api >= ConfigApi::V1Beta4 => {
                for item in items {
                    self.value(item, Type::Object(ARGUMENT), name);
                }
            }
            (Content::Map(entries), Type::Object(fields)) => {
                self.entries(entries.iter(), fields, name);
            }
            (Content::List(items), Type::Objects(fields) | Type::Nullable(fields)) => {
                for item in items {
                    self.value(item, Type::Object(fields), name);
                }
            }
            (found, wanted) => {
                let (what, wanted) = (describe(found), self.describe(wanted));
                let fault = Fault::new(
                    format!("`{name}` is {what}, not of the right type"),
                    format!("expected {wanted}"),
                );
                let bare = matches!(found, Content::Bool(_) | Content::Number(_));
                let fault = if bare && wanted == "a string" {
                    fault.help("put it in quotes")
                } else if matches!(found, Content::Map(_)) && wanted.contains("`name`") {
                    fault.help("since v1beta4 an argument is written `- name: NAME` with `value: VALUE` below")
                } else {
                    fault
                };
                self.problems.push(fault.at(node.span.clone()));
            }
        }
    }

    fn describe(&self, wanted: Type) -> &'static str {
        match wanted {
            Type::Text => "a string",
            Type::Duration => "a string such as `4m0s`",
            Type::Texts => "a list of strings",
            Type::Bool => "`true` or `false`",
            Type::Integer => "a whole number",
            Type::Arguments if self.api < ConfigApi::V1Beta4 => "a mapping of names to strings",
            Type::Arguments => "a list of mappings with `name` and `value`",
            Type::BoolMap => "a mapping of names to `true` or `false`",
            Type::Object(_) => "a mapping",
            Type::Objects(_) | Type::Nullable(_) => "a list of mappings",
            Type::Any => "anything",
        }
    }
}

fn describe(found: &Content) -> &'static str {
    match found {
        Content::Null => "null",
        Content::Bool(_) => "a boolean",
        Content::Number(_) => "a number",
        Content::Text(_) => "a string",
        Content::List(_) => "a list",
        Content::Map(_) => "a mapping",
    }
}

/// A duration as Go writes it, in nanoseconds; negative ones are none here. `1h30m`, `4m0s`, `1.5h`, `0`.
pub(super) fn duration(text: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, nanoseconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 18
        {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(nanoseconds)?)?;
        if !fraction.is_empty() {
            let places = u32::try_from(fraction.len()).ok()?;
            let part: u128 = fraction.parse().ok()?;
            total =
                total.checked_add(part.checked_mul(nanoseconds)? / 10u128.checked_pow(places)?)?;
        }
        rest = tail;
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::kubeadm_config::documents::Documents;

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in
            [("4m0s", 240), ("87600h0m0s", 315_360_000), ("1.5h", 5400), ("0", 0)]
        {
            assert_eq!(duration(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(duration("500ms"), Some(500_000_000));
        for bad in ["", "4", "m", "4 m", "-1s", "1d", "1h-2m", "..5s", "1.2.3s", "9999999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    fn mistakes(text: &str) -> String {
        let error = Documents::read(text, "kubeadm.yaml").unwrap_err();
        error.to_string()
    }

    #[test]
    fn unknown_fields_and_wrong_types_are_shown_where_they_are() {
        let text = "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: 1.36
networking:
  podSubnets: 10.244.0.0/16
apiServer:
  extraArgs:
    v: \"4\"
  timeoutForControlPlane: 4m0s
certificateValidityPeriod: 1y
";
        insta::assert_snapshot!(mistakes(text), @r#"
        error: `kubernetesVersion` is a number, not of the right type
         --> kubeadm.yaml:3:20
          |
        3 | kubernetesVersion: 1.36
          |                    ^^^^ expected a string
          |
          = help: put it in quotes

        error: unknown field `podSubnets`
         --> kubeadm.yaml:5:3
          |
        5 |   podSubnets: 10.244.0.0/16
          |   ^^^^^^^^^^ not a field of `networking`
          |
          = help: did you mean `podSubnet`?

        error: `extraArgs` is a mapping, not of the right type
         --> kubeadm.yaml:8:5
          |
        8 |     v: "4"
          |     ^ expected a list of mappings with `name` and `value`
          |
          = help: since v1beta4 an argument is written `- name: NAME` with `value: VALUE` below

        error: kubeadm.k8s.io/v1beta4 has no field `timeoutForControlPlane`
         --> kubeadm.yaml:9:3
          |
        9 |   timeoutForControlPlane: 4m0s
          |   ^^^^^^^^^^^^^^^^^^^^^^ it went after kubeadm.k8s.io/v1beta3

        error: `1y` is not a duration
          --> kubeadm.yaml:10:28
           |
        10 | certificateValidityPeriod: 1y
           |                            ^^ expected one such as `4m0s` or `8760h`
        "#);
    }

    #[test]
    fn documents_are_known_and_there_once() {
        let text = "\
apiVersion: kubeadm.k8s.io/v1beta3
kind: ResetConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta5
kind: ClusterConfiguration
---
apiVersion: kubelet.config.k8s.io/v1
kind: KubeletConfiguration
---
apiVersion: v1
kind: KubeletConfig
---
kind: InitConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
";
        let error = Documents::read(text, "kubeadm.yaml").unwrap_err();
        insta::assert_snapshot!(error.messages().collect::<Vec<_>>().join("\n"), @r#"
        a kind of another version
        `kubeadm.k8s.io/v1beta5` is not a version of kubeadm's API
        `kubelet.config.k8s.io/v1` is not the version of KubeletConfiguration
        `KubeletConfig` is no document that kubeadm reads
        a document without `apiVersion`
        two documents of kind InitConfiguration
        "#);
    }
}
