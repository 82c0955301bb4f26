"""Checks what victorgen has made for an application of the gallery, with the
libraries by which Python programs read such values. Standard input is JSON:
app, inputs by name, and secrets by name and key, their values in base64."""
import base64, datetime, hashlib, hmac, json, re, sys
from urllib.parse import parse_qs, unquote, urlsplit

import bcrypt, jwt
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

said = []


def check(fine, what):
    if not fine:
        said.append(what)


def url(what, text, scheme, user, password, host):
    u = urlsplit(text)
    check((u.scheme, unquote(u.username or ""), unquote(u.password or ""), u.hostname) == (scheme, user, password, host), what + " has other parts")
    return u


def supabase(inputs, secrets):
    s = {k: v.decode() for k, v in secrets["supabase"].items()}
    for key, role in ("ANON_KEY", "anon"), ("SERVICE_ROLE_KEY", "service_role"):
        claims = jwt.decode(s[key], s["JWT_SECRET"], algorithms=["HS256"], issuer="supabase", options={"require": ["iat", "exp"]})
        check(claims["role"] == role, key + " has another role")
        try:
            jwt.decode(s[key], s["JWT_SECRET"][::-1], algorithms=["HS256"])
            check(False, key + " has any signature")
        except jwt.InvalidSignatureError:
            pass
    for key, text in secrets["supabase-databases"].items():
        url(key, text.decode(), "postgres", urlsplit(text.decode()).username, s["POSTGRES_PASSWORD"], "db")


def mastodon(inputs, secrets):
    s = {k: v.decode() for k, v in secrets["mastodon"].items()}
    raw = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    key = ec.derive_private_key(int.from_bytes(raw(s["VAPID_PRIVATE_KEY"]), "big"), ec.SECP256R1())
    check(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == raw(s["VAPID_PUBLIC_KEY"]), "the key pair of Web Push is none")


def argocd(inputs, secrets):
    s = secrets["argocd-secret"]
    check(bcrypt.checkpw(inputs["ADMIN_PASSWORD"].encode(), s["admin.password"]), "admin.password is not the hash of ADMIN_PASSWORD")
    at = datetime.datetime.fromisoformat(s["admin.passwordMtime"].decode())
    check(datetime.timedelta() <= datetime.datetime.now(datetime.timezone.utc) - at < datetime.timedelta(hours=1), f"admin.passwordMtime is {at}")
    key = load_ssh_private_key(secrets["repo-deployments"]["sshPrivateKey"], None)
    check(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) == secrets["repo-deployments"]["sshPublicKey"], "the deploy keys are no pair")


def registry(inputs, secrets):
    lines = dict(line.split(b":", 1) for line in secrets["registry"]["htpasswd"].splitlines())
    for user in "pull", "push":
        login = json.loads(secrets["registry-" + user][".dockerconfigjson"])["auths"]["registry.example"]
        check(base64.b64decode(login["auth"]).decode() == login["username"] + ":" + login["password"], "auth is of another login")
        check(login["username"] == user and bcrypt.checkpw(login["password"].encode(), lines[user.encode()]), f"the registry does not let {user} in")


def postgres(inputs, secrets):
    for role in "app", "reports":
        rounds, salt, stored, server = re.search(
            rf"^ALTER ROLE {role} PASSWORD 'SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):([^']+)';$", secrets["postgres-roles"]["roles.sql"].decode(), re.M).groups()
        salted = hashlib.pbkdf2_hmac("sha256", inputs[role.upper() + "_PASSWORD"].encode(), base64.b64decode(salt), int(rounds))
        key = lambda name: hmac.digest(salted, name, "sha256")
        check(base64.b64decode(stored) == hashlib.sha256(key(b"Client Key")).digest(), f"the verifier of {role} is of another password")
        check(base64.b64decode(server) == key(b"Server Key"), f"the verifier of {role} proves another server")
    u = url("DATABASE_URL", secrets["app-database"]["DATABASE_URL"].decode(), "postgresql", "app", inputs["APP_PASSWORD"], "postgres.postgres.svc")
    check(parse_qs(u.query) == {"sslmode": ["verify-full"], "sslrootcert": ["/etc/postgres/ca.crt"]}, "DATABASE_URL has another query")


def airflow(inputs, secrets):
    fernet = Fernet(secrets["airflow-fernet-key"]["fernet-key"])
    check(fernet.decrypt(fernet.encrypt(b"connection")) == b"connection", "fernet-key does not decrypt")
    s = {k: v.decode() for k, v in secrets["airflow-connections"].items()}
    # As airflow.models.Connection reads them.
    url("AIRFLOW_CONN_WAREHOUSE", s["AIRFLOW_CONN_WAREHOUSE"], "postgres", "airflow", inputs["WAREHOUSE_PASSWORD"], "warehouse.example")
    u = url("AIRFLOW_CONN_LAKE", s["AIRFLOW_CONN_LAKE"], "aws", inputs["LAKE_ACCESS_KEY_ID"], inputs["LAKE_SECRET_ACCESS_KEY"], None)
    check(parse_qs(u.query) == {"region_name": ["eu-central-1"]}, "AIRFLOW_CONN_LAKE has another query")
    url("connection", secrets["airflow-metadata"]["connection"].decode(), "postgresql", "airflow", inputs["DB_PASSWORD"], "airflow-db")
    url("connection", secrets["airflow-broker-url"]["connection"].decode(), "redis", "", secrets["airflow-redis-password"]["password"].decode(), "airflow-redis")


def kafka(inputs, secrets):
    s = secrets["kafka-broker"]
    ca = x509.load_pem_x509_certificate(inputs["CA_CERT"].encode())
    store = load_pkcs12(s["keystore.p12"], inputs["KEYSTORE_PASSWORD"].encode())
    check(store.key.public_key() == store.cert.certificate.public_key(), "the broker's key is not that of its certificate")
    store.cert.certificate.verify_directly_issued_by(ca)
    check([c.certificate for c in store.additional_certs] == [ca], "the authority does not follow")
    check([c.certificate for c in load_pkcs12(s["truststore.p12"], inputs["TRUSTSTORE_PASSWORD"].encode()).additional_certs] == [ca], "another authority is trusted")


case = json.load(sys.stdin)
globals()[case["app"]](case["inputs"], {name: {k: base64.b64decode(v) for k, v in keys.items()} for name, keys in case["secrets"].items()})
if said:
    sys.exit("\n".join(said))
