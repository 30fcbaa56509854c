//! Every keyword there is, what fleetadm makes of it, and what its arguments look like where it makes nothing of them:
//! a line that OpenSSH would refuse is refused whether or not it is of use here.

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Host,
    Match,
    Include,
    IgnoreUnknown,
    Tag,
    HostName,
    Port,
    User,
    IdentityFile,
    CertificateFile,
    IdentitiesOnly,
    IdentityAgent,
    ProxyJump,
    ProxyCommand,
    ProxyUseFdpass,
    UserKnownHostsFile,
    GlobalKnownHostsFile,
    HostKeyAlias,
    StrictHostKeyChecking,
    RevokedHostKeys,
    RefuseConnection,
    ConnectTimeout,
    ConnectionAttempts,
    ServerAliveInterval,
    ServerAliveCountMax,
    PubkeyAuthentication,
    PasswordAuthentication,
    KbdInteractiveAuthentication,
    CanonicalizeHostname,
    CanonicalDomains,
    CanonicalizeMaxDots,
    CanonicalizeFallbackLocal,
    CanonicalizePermittedCnames,
    /// Nothing that fleetadm does depends on it.
    Unused(Shape),
}

/// What the arguments of a keyword look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Whatever stands there: the keyword has no meaning any more, or not everywhere.
    Anything,
    /// `yes` or `no`.
    Flag,
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// A number.
    Number,
    /// A time.
    Time,
    /// One word.
    Word,
    /// Any number of words.
    Words,
    /// The rest of the line.
    Line,
}

const ASK: Shape = Shape::OneOf(&["yes", "no", "true", "false", "ask"]);
const LOG_LEVELS: Shape = Shape::OneOf(&[
    "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
]);
const FACILITIES: Shape = Shape::OneOf(&[
    "daemon", "user", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
]);

/// The keyword that `word`, in lower case, stands for.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    use Keyword::*;
    Some(match word {
        "host" => Host,
        "match" => Match,
        "include" => Include,
        "ignoreunknown" => IgnoreUnknown,
        "tag" => Tag,
        "hostname" => HostName,
        "port" => Port,
        "user" => User,
        "identityfile" | "identityfile2" => IdentityFile,
        "certificatefile" => CertificateFile,
        "identitiesonly" => IdentitiesOnly,
        "identityagent" => IdentityAgent,
        "proxyjump" => ProxyJump,
        "proxycommand" => ProxyCommand,
        "proxyusefdpass" => ProxyUseFdpass,
        "userknownhostsfile" => UserKnownHostsFile,
        "globalknownhostsfile" => GlobalKnownHostsFile,
        "hostkeyalias" => HostKeyAlias,
        "stricthostkeychecking" => StrictHostKeyChecking,
        "revokedhostkeys" => RevokedHostKeys,
        "refuseconnection" => RefuseConnection,
        "connecttimeout" => ConnectTimeout,
        "connectionattempts" => ConnectionAttempts,
        // The other two are Debian's.
        "serveraliveinterval" | "protocolkeepalives" | "setuptimeout" => ServerAliveInterval,
        "serveralivecountmax" => ServerAliveCountMax,
        "pubkeyauthentication" | "dsaauthentication" => PubkeyAuthentication,
        "passwordauthentication" => PasswordAuthentication,
        "kbdinteractiveauthentication"
        | "challengeresponseauthentication"
        | "skeyauthentication"
        | "tisauthentication" => KbdInteractiveAuthentication,
        "canonicalizehostname" => CanonicalizeHostname,
        "canonicaldomains" => CanonicalDomains,
        "canonicalizemaxdots" => CanonicalizeMaxDots,
        "canonicalizefallbacklocal" => CanonicalizeFallbackLocal,
        "canonicalizepermittedcnames" => CanonicalizePermittedCnames,
        other => Unused(unused(other)?),
    })
}

fn unused(word: &str) -> Option<Shape> {
    Some(match word {
        "protocol" | "cipher" | "fallbacktorsh" | "globalknownhostsfile2"
        | "rhostsauthentication" | "userknownhostsfile2" | "useroaming" | "usersh"
        | "useprivilegedport" | "afstokenpassing" | "kerberosauthentication"
        | "kerberostgtpassing" | "rsaauthentication" | "rhostsrsaauthentication"
        | "compressionlevel" | "useblacklistedkeys" => Shape::Anything,

        "forwardx11" | "forwardx11trusted" | "gatewayports" | "exitonforwardfailure"
        | "hostbasedauthentication" | "batchmode" | "checkhostip" | "tcpkeepalive"
        | "keepalive" | "nohostauthenticationforlocalhost" | "clearallforwardings"
        | "enablesshkeysign" | "hashknownhosts" | "permitlocalcommand" | "visualhostkey"
        | "stdinnull" | "forkafterauthentication" | "streamlocalbindunlink"
        | "enableescapecommandline" | "gssapiauthentication" | "gssapidelegatecredentials"
        // Distributions' own.
        | "gssapikeyexchange" | "gssapitrustdns" | "gssapirenewalforcesrekey"
        | "usekeychain" => Shape::Flag,

        "verifyhostkeydns" | "updatehostkeys" => ASK,
        "loglevel" => LOG_LEVELS,
        "syslogfacility" => FACILITIES,
        "compression" => Shape::OneOf(&["yes", "no"]),
        "addressfamily" => Shape::OneOf(&["inet", "inet6", "any"]),
        "controlmaster" => {
            Shape::OneOf(&["yes", "no", "true", "false", "auto", "ask", "autoask"])
        }
        "tunnel" => Shape::OneOf(&["yes", "no", "true", "false", "ethernet", "point-to-point"]),
        "requesttty" => Shape::OneOf(&["yes", "no", "true", "false", "force", "auto"]),
        "sessiontype" => Shape::OneOf(&["none", "subsystem", "default"]),
        "warnweakcrypto" => Shape::OneOf(&["yes", "no", "true", "false", "no-pq-kex"]),

        "numberofpasswordprompts" | "requiredrsasize" | "rsaminsize" => Shape::Number,
        "forwardx11timeout" => Shape::Time,

        "forwardagent" | "xauthlocation" | "kbdinteractivedevices" | "preferredauthentications"
        | "bindaddress" | "bindinterface" | "pkcs11provider" | "smartcarddevice"
        | "securitykeyprovider" | "controlpath" | "controlpersist" | "tunneldevice"
        | "escapechar" | "streamlocalbindmask" | "fingerprinthash" | "ciphers" | "macs"
        | "kexalgorithms" | "hostkeyalgorithms" | "casignaturealgorithms"
        | "hostbasedacceptedalgorithms" | "hostbasedkeytypes" | "pubkeyacceptedalgorithms"
        | "pubkeyacceptedkeytypes" | "gssapiclientidentity" | "gssapiserveridentity"
        | "gssapikexalgorithms" => Shape::Word,

        "localforward" | "remoteforward" | "dynamicforward" | "permitremoteopen" | "sendenv"
        | "setenv" | "logverbose" | "channeltimeout" | "rekeylimit" | "ipqos"
        | "addkeystoagent" | "obscurekeystroketiming" => Shape::Words,

        "localcommand" | "remotecommand" | "knownhostscommand" | "versionaddendum" => Shape::Line,

        _ => return None,
    })
}

impl Shape {
    /// What is wrong with the arguments, if anything.
    pub(super) fn check(self, arguments: &[String], time: impl Fn(&str) -> bool) -> Option<String> {
        let expected = match self {
            Self::Anything | Self::Line => return None,
            Self::Words => {
                let empty = arguments.iter().any(String::is_empty);
                return empty.then(|| "an argument is empty; leave it out".to_owned());
            }
            Self::Flag => "`yes` or `no`".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Number => "a number".to_owned(),
            Self::Time => "a time such as `30` or `5m`".to_owned(),
            Self::Word => "one argument".to_owned(),
        };
        let right = |text: &str| match self {
            Self::Anything | Self::Line | Self::Words => true,
            Self::Flag => super::values::flag(text).is_some(),
            Self::OneOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::Number => super::values::number(text).is_some(),
            Self::Time => text == "none" || time(text),
            Self::Word => !text.is_empty(),
        };
        match arguments {
            [text] if right(text) => None,
            _ => Some(format!("expected {expected}")),
        }
    }
}
