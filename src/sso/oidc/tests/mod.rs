//! Hostile providers, browsers and tokens. The names of tests with `oidcc` are those of the modules of the OpenID Foundation's
//! conformance suite for relying parties.

mod callback;
mod discovery;
mod id_token;
mod logout_token;
mod provider;
mod token_response;
mod who;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Map, Value, json};

use super::id_token::Expected;
use super::keys::KeySet;

pub(super) const ISSUER: &str = "https://idp.example.org/realms/one";
pub(super) const CLIENT: &str = "muster";
pub(super) const NONCE: &str = "n-0S6_WzA2Mj";

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 250_000_000).unwrap()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys of a provider, with their private parts.
pub(super) struct Signer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Signer {
    pub(super) fn new() -> Self {
        Self::with(include_bytes!("rsa.pk8"))
    }

    pub(super) fn other() -> Self {
        Self::with(include_bytes!("other_rsa.pk8"))
    }

    fn with(rsa: &[u8]) -> Self {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            rsa: RsaKeyPair::from_pkcs8(rsa).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
        }
    }

    pub(super) fn rsa_jwk(&self) -> Value {
        let key = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        json!({ "kty": "RSA", "kid": "rsa", "n": encode(&key.n), "e": encode(&key.e) })
    }

    pub(super) fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    pub(super) fn ed_jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.ed.public_key().as_ref()) })
    }

    pub(super) fn keys(&self) -> KeySet {
        keys(&[self.rsa_jwk(), self.ec_jwk(), self.ed_jwk()])
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let random = SystemRandom::new();
        let mut rsa = vec![0; self.rsa.public().modulus_len()];
        let signature = match header["alg"].as_str().unwrap_or_default() {
            "RS256" => self.rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut rsa).map(|()| rsa).unwrap(),
            "RS512" => self.rsa.sign(&RSA_PKCS1_SHA512, &random, message.as_bytes(), &mut rsa).map(|()| rsa).unwrap(),
            "PS256" => self.rsa.sign(&RSA_PSS_SHA256, &random, message.as_bytes(), &mut rsa).map(|()| rsa).unwrap(),
            "ES256" => self.ec.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
            _ => b"no signature".to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }
}

pub(super) fn keys(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

pub(super) const ALGORITHMS: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS512, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

pub(super) fn expected(required: &Map<String, Value>) -> Expected<'_> {
    Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        extra_audiences: &[],
        algorithms: ALGORITHMS,
        nonce: NONCE,
        access_token: Some("the access token"),
        now: now(),
        started_at: now(),
        max_age: None,
        subject_claim: "sub",
        email_claim: "email",
        required_claims: required,
    }
}

pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "248289761001", "nonce": NONCE, "iat": 1_800_000_000,
        "exp": 1_800_000_300, "email": "ada@example.com",
    })
}

pub(super) fn header(algorithm: &str) -> Value {
    let key = match algorithm {
        "ES256" => "ec",
        "EdDSA" => "ed",
        _ => "rsa",
    };
    json!({ "alg": algorithm, "kid": key, "typ": "JWT" })
}
