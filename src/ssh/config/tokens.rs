//! `%h`, `${NAME}` and `~` in values.

use std::borrow::Cow;
use std::path::Path;

use aws_lc_rs::digest;

use super::habits::Habit;
use super::world::World;
use crate::ssh::environment::Environment;

/// What tokens stand for while one host is resolved.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) world: &'a dyn World,
    /// `%h`: the name connected to.
    pub(super) host: &'a str,
    /// `%n`: the name asked for.
    pub(super) original: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`: the login user.
    pub(super) user: &'a str,
    /// `%k`: the name looked for in known_hosts.
    pub(super) key_alias: &'a str,
    /// `%j`: the last jump host; empty for none.
    pub(super) jump_host: &'a str,
}

impl Tokens<'_> {
    fn value(&self, token: char) -> Option<Cow<'_, str>> {
        let local = self.world.local();
        let local_name = local.host_name.as_deref().unwrap_or_default();
        Some(match token {
            'C' => self.hash(local_name).into(),
            'L' => local_name.split('.').next().unwrap_or_default().into(),
            'd' => local.home.as_deref().map(Path::to_string_lossy).unwrap_or_default(),
            'h' => self.host.into(),
            'i' => local.uid.unwrap_or_default().to_string().into(),
            'j' => self.jump_host.into(),
            'k' => self.key_alias.into(),
            'l' => local_name.into(),
            'n' => self.original.into(),
            'p' => self.port.to_string().into(),
            'r' => self.user.into(),
            'u' => local.user.as_deref().unwrap_or_default().into(),
            _ => return None,
        })
    }

    /// `%C`, a name for the connection that fits into a path.
    fn hash(&self, local_name: &str) -> String {
        // Fixed to SHA-1; it names files, it protects nothing.
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        let port = self.port.to_string();
        for part in [local_name, self.host, &port, self.user] {
            context.update(part.as_bytes());
        }
        if !self.jump_host.is_empty() && self.world.client_does(Habit::HashesJumpHost) {
            context.update(self.jump_host.as_bytes());
        }
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `text` with the tokens in `known` expanded, without variables.
    pub(super) fn expand_some(&self, text: &str, known: &str) -> Result<String, String> {
        expand(text, None, |token| known.contains(token).then(|| self.value(token)).flatten())
    }

    /// `text` with the tokens in `known` and variables expanded.
    pub(super) fn expand(&self, text: &str, known: &str) -> Result<String, String> {
        let value = |token| known.contains(token).then(|| self.value(token)).flatten();
        expand(text, Some(self.world.local()), value)
    }
}

/// The tokens of most keywords.
pub(super) const MOST: &str = "CLdhijklnpru";

/// `text` with variables expanded only.
pub(super) fn expand_variables(text: &str, local: &Environment) -> Result<String, String> {
    expand(&text.replace('%', "%%"), Some(local), |_| None)
}

/// `text` with `%h` expanded only, which is all that `HostName` has.
pub(super) fn expand_host_name<'a>(text: &'a str, host: &str) -> Result<Cow<'a, str>, String> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    Ok(expand(text, None, |token| (token == 'h').then_some(host.into()))?.into())
}

fn expand<'a>(
    text: &str,
    variables: Option<&Environment>,
    value: impl Fn(char) -> Option<Cow<'a, str>>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(local) = variables
            && let Some(inner) = rest.strip_prefix("${")
        {
            let (name, after) =
                inner.split_once('}').ok_or_else(|| format!("`{rest}` is not closed; add `}}`"))?;
            let set = local.variables.get(name);
            expanded.push_str(set.ok_or_else(|| {
                format!("the environment variable {name:?} is not set; set it or leave it out")
            })?);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else {
            let token = rest[1..].chars().next();
            match token {
                Some('%') => expanded.push('%'),
                Some(token) => expanded.push_str(&value(token).ok_or_else(|| {
                    format!("`%{token}` is not a token here; write `%%` for a percent sign")
                })?),
                None => return Err("a `%` ends it; write `%%` for a percent sign".to_owned()),
            }
            rest = &rest[1 + token.map_or(0, char::len_utf8)..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// `text` with `~` or `~user` at its beginning replaced by a home directory.
pub(super) fn expand_tilde(text: &str, local: &Environment) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(text.to_owned()) };
    let (user, path) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() { local.home.clone() } else { local.home_of(user) };
    let home = home.ok_or_else(|| match user {
        "" => "`~` stands for nothing: there is no home directory; set HOME".to_owned(),
        user => format!("`~{user}` stands for nothing: there is no user {user:?}"),
    })?;
    let home = home.to_string_lossy();
    let slash = if home.ends_with('/') { "" } else { "/" };
    Ok(format!("{home}{slash}{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::ssh::config::world::Fake;

    fn world() -> Fake {
        Fake::new(Environment {
            home: Some("/home/me".into()),
            user: Some("me".to_owned()),
            uid: Some(1000),
            host_name: Some("ws.example.com".to_owned()),
            variables: [("KEYS", "/keys")].into_iter().collect(),
            ..Environment::default()
        })
    }

    fn tokens(world: &Fake) -> Tokens<'_> {
        Tokens {
            world,
            host: "10.0.0.1",
            original: "node",
            port: 2222,
            user: "ops",
            key_alias: "alias",
            jump_host: "",
        }
    }

    #[test]
    fn every_token() {
        let world = world();
        let expanded = tokens(&world).expand("%% %L %d %h %i %k %l %n %p %r %u ${KEYS} $x", MOST);
        let expected = "% ws /home/me 10.0.0.1 1000 alias ws.example.com node 2222 ops me /keys $x";
        assert_eq!(expanded.unwrap(), expected);
        // What `printf ws.example.com10.0.0.12222ops | sha1sum` says.
        let hash = "318f3587cdc9eb96897482e1ce064856b7431511";
        assert_eq!(tokens(&world).expand("%C", MOST).unwrap(), hash);
    }

    #[test]
    fn newer_releases_hash_the_jump_host() {
        let mut world = world();
        let behind = |world: &Fake| {
            Tokens { jump_host: "bastion", ..tokens(world) }.expand("%j %C", MOST).unwrap()
        };
        let new = behind(&world);
        world.odd = vec![Habit::HashesJumpHost];
        assert_eq!(behind(&world), "bastion 318f3587cdc9eb96897482e1ce064856b7431511");
        assert_ne!(behind(&world), new);
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error() {
        let world = world();
        let tokens = tokens(&world);
        for bad in ["%x", "%", "100%", "${", "${UNSET}", "${}"] {
            assert!(tokens.expand(bad, MOST).is_err(), "{bad}");
        }
        assert!(tokens.expand("%C", "h").is_err());
        assert_eq!(tokens.expand_some("${UNSET}", MOST).unwrap(), "${UNSET}");
        assert_eq!(expand_variables("%h${KEYS}%", world.local()).unwrap(), "%h/keys%");
        assert_eq!(expand_host_name("%h.example.com", "node").unwrap(), "node.example.com");
        assert!(expand_host_name("%n", "node").is_err());
    }

    #[test]
    fn tildes() {
        let world = world();
        let tilde = |text| expand_tilde(text, world.local()).unwrap();
        assert_eq!(tilde("~"), "/home/me/");
        assert_eq!(tilde("~//.ssh/x"), "/home/me/.ssh/x");
        assert_eq!(tilde("/a/~"), "/a/~");
        assert!(expand_tilde("~nobody-of-that-name/x", world.local()).is_err());
        assert!(expand_tilde("~/x", &Environment::default()).is_err());
    }
}
