//! `fleetadm token`: bootstrap tokens, with kubeadm's flags and formats.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use crate::cluster::wipe;
use crate::kubernetes::objects::BOOTSTRAPPERS;
use crate::kubernetes::objects::bootstrap_token::{
    BootstrapToken, TokenOptions, is_bootstrap_group, is_token_id,
};
use crate::kubernetes::objects::upload_certs::CertificateKey;
use crate::kubernetes::tokens::{LiveToken, expiry};
use crate::phases::PhaseError;
use crate::phases::access::tokens;
use crate::report::{Event, aligned, escaped_json, printable_line};

use super::args::{Global, OutputFormat, TokenCommand, TokenCreateArgs, TokenFormat, TokenUsage};
use super::ask::Target;
use super::duration;
use super::failure::Failure;
use super::local;

/// The columns of kubeadm's table.
const COLUMNS: [&str; 6] = ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"];

/// How much of a cell is shown, in characters.
const CELL: usize = 300;

pub fn run(global: &Global, command: TokenCommand) -> Result<u8, Failure> {
    match command {
        TokenCommand::Create(args) => create(global, args),
        TokenCommand::List { format } => list(global, format),
        TokenCommand::Delete { tokens } => delete(global, &tokens),
        TokenCommand::Generate => {
            let token = BootstrapToken::generate().map_err(Failure::internal)?;
            super::print(&Zeroizing::new(format!("{}\n", token.expose().as_str())))
        }
    }
}

fn create(global: &Global, args: TokenCreateArgs) -> Result<u8, Failure> {
    let input = "-";
    if args.token.as_deref() == Some(input) && args.certificate_key.as_deref() == Some(input) {
        return Err(Failure::usage("only one of TOKEN and --certificate-key can be -"));
    }
    let token = match &args.token {
        None => BootstrapToken::generate().map_err(Failure::internal)?,
        Some(text) => local::given(global, "TOKEN", text)?
            .parse()
            .map_err(|error| Failure::usage(format!("TOKEN: {error}")))?,
    };
    let key = match &args.certificate_key {
        None => None,
        Some(text) => {
            let key: Result<CertificateKey, _> =
                local::given(global, "--certificate-key", text)?.parse();
            Some(key.map_err(|error| Failure::usage(format!("--certificate-key: {error}")))?)
        }
    };
    let options = options(&args).map_err(Failure::usage)?;
    let target = Target::select(global, "token create")?;
    target.ask(global, "token create", async |task, run| {
        // Looked at first: a token whose join command cannot be told is not wanted.
        let join = match args.print_join_command {
            true => Some(tokens::join_command(run).await?),
            false => None,
        };
        let options = TokenOptions {
            expires: expiry(OffsetDateTime::now_utc(), args.ttl),
            ..options.clone()
        };
        tokens::create(run, &token, &options).await?;
        task.changed(format!("create token {}", token.id()), None, false);
        let lifetime = match args.ttl {
            Duration::ZERO => "which never expires".to_owned(),
            ttl => format!("valid for {}", duration::words(ttl)),
        };
        let (what, secret) = match join {
            None => (format!("token, {lifetime}"), token.expose()),
            Some(join) => {
                let key = key.as_ref().map(CertificateKey::expose);
                let command = join.render(&token.expose(), key.as_ref().map(|key| key.as_str()));
                (format!("join command, {lifetime}"), command)
            }
        };
        let secret = SecretString::from(secret.as_str());
        run.reporter().emit(Event::Disclosed { what, secret });
        Ok(())
    })
}

/// What the token is for; when it expires is not decided here.
fn options(args: &TokenCreateArgs) -> Result<TokenOptions, String> {
    let has = |usage| args.usages.contains(&usage);
    let (signing, authentication) = (has(TokenUsage::Signing), has(TokenUsage::Authentication));
    let groups: Vec<String> = match &args.groups {
        None if authentication => vec![BOOTSTRAPPERS.to_owned()],
        None => Vec::new(),
        Some(groups) => groups.iter().filter(|group| !group.is_empty()).cloned().collect(),
    };
    if let Some(group) = groups.iter().find(|group| !is_bootstrap_group(group)) {
        return Err(format!(
            "--groups: {group:?} is no group of bootstrappers; they are system:bootstrappers: and a to z, 0 to 9, : and -"
        ));
    }
    if !groups.is_empty() && !authentication {
        return Err(
            "--groups are of whoever logs in, which needs --usages authentication".to_owned()
        );
    }
    let description = args.description.clone().filter(|text| !text.is_empty());
    Ok(TokenOptions { description, expires: None, signing, authentication, groups })
}

fn list(global: &Global, format: Option<TokenFormat>) -> Result<u8, Failure> {
    let json = global.output == OutputFormat::Json;
    if json && !matches!(format, None | Some(TokenFormat::Json)) {
        return Err(Failure::usage("--output json is for --format json only"));
    }
    let target = Target::select(global, "token list")?;
    target.ask(global, "token list", async |_, run| {
        let tokens = tokens::list(run).await?;
        if json {
            for token in &tokens {
                let object = written(token, |value| Ok(value.to_string()))?;
                run.reporter().emit(Event::Object { kind: "token", object });
            }
            return Ok(());
        }
        let documents = |separator: &str, write: fn(&Value) -> Result<String, PhaseError>| {
            let documents: Result<Vec<_>, _> =
                tokens.iter().map(|token| written(token, write)).collect();
            Ok::<_, PhaseError>(joined(&documents?, separator))
        };
        let secret = match format.unwrap_or(TokenFormat::Table) {
            TokenFormat::Table => table(&tokens, OffsetDateTime::now_utc()),
            TokenFormat::Json => documents("\n", |value| {
                let text =
                    serde_json::to_string_pretty(value).map_err(|error| unwritten(&error))?;
                Ok(escaped_json(&Zeroizing::new(text)).to_string())
            })?,
            TokenFormat::Yaml => documents("---\n", |value| {
                serde_saphyr::to_string(value).map_err(|error| unwritten(&error))
            })?,
        };
        let what = match tokens.len() {
            0 => return Ok(()),
            1 => "1 token".to_owned(),
            count => format!("{count} tokens"),
        };
        run.reporter().emit(Event::Disclosed { what, secret });
        Ok(())
    })
}

/// One token as text for programs.
fn written(
    token: &LiveToken,
    write: impl Fn(&Value) -> Result<String, PhaseError>,
) -> Result<SecretString, PhaseError> {
    let mut object = token.to_json();
    let text = write(&object);
    wipe(&mut object);
    Ok(SecretString::from(text?))
}

fn unwritten(error: &dyn std::fmt::Display) -> PhaseError {
    PhaseError::Local(format!("a token cannot be written down: {error}"))
}

/// Documents below each other, without a line's end behind the last.
fn joined(documents: &[SecretString], separator: &str) -> SecretString {
    let length =
        documents.iter().map(|text| text.expose_secret().len() + separator.len() + 1).sum();
    let mut all = Zeroizing::new(String::with_capacity(length));
    for document in documents {
        if !all.is_empty() {
            all.push('\n');
            all.push_str(separator.trim_start_matches('\n'));
        }
        all.push_str(document.expose_secret().trim_end());
    }
    SecretString::from(all.as_str())
}

/// kubeadm's table.
fn table(tokens: &[LiveToken], now: OffsetDateTime) -> SecretString {
    let mut rows: Vec<Vec<String>> = tokens.iter().map(|token| token.cells(now)).collect();
    // Anybody who may write Secrets can have put anything into a description.
    for cell in rows.iter_mut().flatten() {
        *cell = printable_line(cell, CELL);
    }
    let header = COLUMNS.map(str::to_owned);
    let table = Zeroizing::new(aligned(&header, &rows));
    rows.iter_mut().flatten().for_each(Zeroize::zeroize);
    SecretString::from(table.trim_end())
}

fn delete(global: &Global, tokens: &[String]) -> Result<u8, Failure> {
    let id = |text: &String| match (is_token_id(text), text.parse::<BootstrapToken>()) {
        (true, _) => Ok(text.clone()),
        (false, Ok(token)) => Ok(token.id().to_owned()),
        // The text may be most of a secret.
        (false, Err(_)) => Err(Failure::usage(
            "TOKEN: expected the six characters before the dot, or a whole token as abcdef.0123456789abcdef",
        )),
    };
    let ids: Vec<String> = tokens.iter().map(id).collect::<Result<_, _>>()?;
    let target = Target::select(global, "token delete")?;
    target.ask(global, "token delete", async |task, run| {
        let mut missing = Vec::new();
        for id in &ids {
            if tokens::delete(run, id).await? {
                task.changed(format!("delete token {id}"), None, false);
            } else {
                missing.push(id.as_str());
            }
        }
        match missing.as_slice() {
            [] => Ok(()),
            missing => Err(PhaseError::State(format!(
                "there is no token {}; `fleetadm token list` shows those there are",
                missing.join(", ")
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn parsed(words: &[&str]) -> Result<TokenOptions, String> {
        let words = ["fleetadm", "token", "create"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Token { command: TokenCommand::Create(args) } => options(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_kubeadms() {
        assert_eq!(parsed(&[]), Ok(TokenOptions::joining(None)));
        let signing = parsed(&["--usages", "signing"]).unwrap();
        assert!(signing.signing && !signing.authentication && signing.groups.is_empty());
        let grouped =
            parsed(&["--groups", "system:bootstrappers:a,system:bootstrappers:b"]).unwrap();
        assert_eq!(grouped.groups, ["system:bootstrappers:a", "system:bootstrappers:b"]);
    }

    #[test]
    fn what_the_api_server_would_not_take_is_refused() {
        for words in [
            &["--groups", "system:masters"][..],
            &["--groups", "system:bootstrappers:a", "--usages", "signing"],
            &["--usages", "everything"],
            &["--ttl", "-1h"],
            &["--certificate-key", "0"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_table_holds_nothing_that_a_terminal_would_obey() {
        let token = LiveToken {
            token: "abcdef.0123456789abcdef".parse().unwrap(),
            options: TokenOptions {
                description: Some("\u{1b}[31mred\nalert".to_owned()),
                ..TokenOptions::joining(None)
            },
        };
        let table = table(&[token], OffsetDateTime::UNIX_EPOCH);
        assert!(table.expose_secret().contains("  red alert  "), "{}", table.expose_secret());
        assert!(!table.expose_secret().contains('\u{1b}'));
        assert_eq!(table.expose_secret().lines().count(), 2);
    }
}
