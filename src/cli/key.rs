//! `lictor key`: Ed25519 key pairs and the entries of a keyring.
//!
//! The three kinds of keys are never shared: one pair for bundles, one for tokens, one for policy content.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use crate::bundle::{Key, Keyring, SigningKey, public_key_pem, thumbprint};
use crate::server::secret;

use super::output::Output;

/// Arguments of `lictor key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key pair: writes the private key (PKCS#8 PEM, mode 0600), prints the public half
    Generate(GenerateArgs),
    /// Print the public half of a private key file
    Show(ShowArgs),
}

/// What a key pair is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Use {
    /// Signs bundles; its public half belongs into the keyrings of sidecars
    Bundle,
    /// Signs bearer tokens
    Token,
    /// Signs the content of policy versions
    Policy,
}

impl Use {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Token => "token",
            Self::Policy => "policy",
        }
    }
}

#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// What the key is for
    #[arg(long = "use", value_enum, default_value = "bundle")]
    usage: Use,
    /// Folder for the private key, `<use>.key.pem`; an existing file is never overwritten
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Key id; default: the key's RFC 7638 thumbprint
    #[arg(long)]
    kid: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Private key file (PKCS#8 PEM, mode 0600)
    file: PathBuf,
    /// What the key is for
    #[arg(long = "use", value_enum, default_value = "bundle")]
    usage: Use,
    /// Key id; default: the key's RFC 7638 thumbprint
    #[arg(long)]
    kid: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Runs the command.
///
/// # Errors
///
/// When a key cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Generate(args) => {
            let key = generate(args.kid.as_deref());
            std::fs::create_dir_all(&args.out)
                .with_context(|| format!("cannot create `{}`", args.out.display()))?;
            let path = args.out.join(format!("{}.key.pem", args.usage.as_str()));
            write(&key, &path)?;
            show(&key, args.usage, Some(&path), args.output)?;
        }
        Command::Show(args) => {
            let key = read(&args.file, args.kid.as_deref())?;
            show(&key, args.usage, None, args.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A fresh key; without a kid its thumbprint is its id.
#[must_use]
pub fn generate(kid: Option<&str>) -> SigningKey {
    named(SigningKey::from_seed("", &rand::random()), kid)
}

/// Reads a private key file; without a kid its thumbprint is its id.
///
/// # Errors
///
/// A mode wider than 0600, or text that is no Ed25519 key in PKCS#8 PEM.
pub fn read(path: &Path, kid: Option<&str>) -> anyhow::Result<SigningKey> {
    let pem = secret::read_private(path)?;
    let key = SigningKey::from_pem("", &pem)
        .with_context(|| format!("cannot use `{}`", path.display()))?;
    Ok(named(key, kid))
}

/// Writes a new private key file with mode 0600.
///
/// # Errors
///
/// Also when the file exists.
pub fn write(key: &SigningKey, path: &Path) -> anyhow::Result<()> {
    secret::write_new(path, key.to_pem()?.as_bytes())?;
    Ok(())
}

/// A keyring that trusts this key alone, for every tenant.
#[must_use]
pub fn keyring_of(key: &SigningKey) -> Keyring {
    Keyring {
        threshold: 1,
        keys: vec![Key {
            kid: key.kid.clone(),
            public_key: key.public_key(),
            tenants: None,
            not_before: None,
            not_after: None,
            revoked: false,
        }],
    }
}

fn named(mut key: SigningKey, kid: Option<&str>) -> SigningKey {
    key.kid = kid.map_or_else(|| thumbprint(&key.public_key()), str::to_owned);
    key
}

fn show(
    key: &SigningKey,
    usage: Use,
    written: Option<&Path>,
    output: Output,
) -> anyhow::Result<()> {
    let pem = public_key_pem(&key.public_key())?;
    let keyring = (usage == Use::Bundle).then(|| keyring_of(key).to_yaml());
    let json = json!({
        "kid": key.kid,
        "use": usage.as_str(),
        "algorithm": "Ed25519",
        "public_key": pem,
        "private_key_file": written,
        "keyring": keyring,
    });
    output.print(&json, || {
        let mut text = String::new();
        if let Some(path) = written {
            text = format!(
                "# private key: {}, mode 0600; keep it secret\n",
                path.display()
            );
        }
        match keyring {
            Some(keyring) => text + "# keyring that trusts it:\n" + &keyring,
            None => format!("{text}# kid: {}\n{pem}", key.kid),
        }
    })
}
