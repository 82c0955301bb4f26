package value

// The words that the values of sample files, manuals and development machines
// are made of, gathered from such files of public projects. None of them is
// secret; what they prove is in published.go.
const (
	tellingWords = `
		password passwords passwd passphrase pass pwd pw psswd passwort passcode secret secrets secretkey apikey token tokens key keys
		insecure unsafe changeme changeit changethis replaceme placeholder example examples dummy fake sample samples mock foo bar baz foobar
		default defaults demo test tests testing tester dev devs develop development developer debug local localhost staging
		todo fixme tbd xxx xxxx lorem ipsum letmein qwerty admin admins administrator root toor supersecret temp temporary
		rootpw userpw adminpw rootpass userpass adminpass dbpass mypass change replace generate generated insert yourself weak
		undefined none null unset redacted credential credentials
		clave claves contrasena contraseña secreto secreta senha segredo secreta chave parola motdepasse geheim geheimnis kennwort wachtwoord haslo hasło
		rahasia sifre şifre gizli пароль секрет секретный секретная ключ токен`
	glueWords = `
		a an the my your yours our this that these here there is are was be been it its in on at of off to from for with without by as and or
		not no never do does dont please must should shall will would can could cannot may might need needs have has than then more less
		very really too so some any all every each other same only just least most before after when where which who what how why if else
		use used using set put get make made let me you we us i am im now later once again always enter fill add goes into own up out
		one two than about above below like via per ever anything something whatever
		tu tus su sua seu meu minha mi votre mon ma dein deine mein meine ihr ваш ваша ваше твой мой`
	contextWords = `
		database databases db dbs user users username usr name login logins account accounts owner member guest client clients server servers service
		services app apps application applications web webapp website site api apis auth authentication authenticate authorization oauth oidc sso saml
		ldap jwt session sessions cookie cookies csrf signing sign signed signature encryption encrypt encrypted decryption crypto cipher hash hashing
		salt pepper hmac sha aes rsa hex base base64 bytes byte bit bits char chars character characters string strings str text word words
		number numbers letter letters digit digits random randomly long longer short shorter strong stronger strongest secure secured secury security super duper
		ultra mega hyper safe safer private public shared share access refresh bearer id ids uuid guid guuid value values variable env environment
		config configuration setting settings file files path url uri dsn uris host hostname port address email mail smtp imap mailer sms phone
		webhook webhooks hook callback endpoint gateway proxy backend frontend fullstack worker queue cache broker stream event events log logs
		logging metric metrics monitor monitoring cluster node nodes master slave primary replica replication read write readonly readwrite
		storage bucket object blob upload uploads media image images registry repo repository git github gitlab gitea bitbucket docker compose
		kubernetes kube helm container podman swarm nginx apache traefik caddy envoy kong consul nomad vault hashicorp
		postgres postgresql pg pgsql pgadmin mysql mariadb sqlite mongo mongodb redis valkey memcached cassandra couchdb couchbase clickhouse
		elastic elasticsearch opensearch kibana logstash neo4j neo influx influxdb timescale cockroach mssql oracle sqlserver sql rabbitmq rabbit
		kafka zookeeper nats mqtt mosquitto activemq celery flower airflow superset grafana prometheus alertmanager loki tempo jaeger sentry datadog
		newrelic minio s3 aws azure gcp google cloud cloudflare digitalocean heroku vercel netlify render railway fly supabase firebase appwrite
		pocketbase hasura strapi directus ghost wordpress drupal joomla magento shopify woocommerce stripe paypal braintree twilio sendgrid mailgun
		postmark resend slack discord telegram whatsapp facebook twitter instagram linkedin reddit apple microsoft openai anthropic claude gpt chatgpt
		gemini mistral cohere huggingface hf openrouter groq deepseek llm ai ml bot agent agents assistant chat model models embedding vector
		pinecone weaviate qdrant milvus langfuse langchain dify flowise n8n keycloak authentik authelia zitadel ory hydra kratos okta auth0 clerk
		nextauth nextjs next react vue nuxt svelte angular express node js nodejs typescript deno bun nest nestjs koa fastify django flask fastapi
		python py php laravel symfony rails ruby sinatra spring boot java kotlin go golang rust phoenix elixir dotnet net asp csharp blazor
		mastodon discourse nextcloud owncloud seafile jitsi matrix synapse mattermost rocketchat zulip element bitwarden vaultwarden passbolt
		jenkins drone woodpecker sonar sonarqube nexus harbor artifactory argocd argo rancher portainer tomcat wildfly jboss kestra temporal
		dagster prefect metabase redash posthog matomo plausible umami calcom cal plane outline wiki bookstack docmost affine immich jellyfin plex
		production prod live release staging stage uat qa ci cd build deploy deployment preview sandbox playground tutorial learning practice
		workshop course lesson homework project projects company organization org team teams tenant customer customers product products
		shop store ecommerce order orders payment payments billing invoice cart checkout blog post posts forum news cms crm erp todoapp task tasks
		board boards kanban note notes book books library movie movies music game games travel booking weather fitness health
		awesome cool great good nice best better amazing perfect unique new old real actual true false valid invalid correct wrong simple easy hard
		hello hi hey world welcome keyboard cat dog monkey dragon master shadow sunshine princess football baseball
		superman batman hunter love lovely iloveyou trustno correct horse battery staple open sesame abc abcd abcde def xyz asdf asdfgh qwer zxcv
		first second third last initial main system sys internal external remote global common basic normal standard custom
		cert certificate certs tls ssl ssh pem pkcs crt ca webpush vapid push notification notifications socket websocket ws pusher ably livekit
		http https tcp udp rpc grpc graphql rest soap json xml yaml csv html css page pages form captcha recaptcha turnstile otp totp mfa twofa
		verify verification confirm confirmation reset activation register registration signup signin signout logout invite admin admins superuser
		superadmin sudo sys operator manager staff support helper helpers exporter scraper crawler scheduler cron job jobs runner
		minimum min max maximum length size count required optional needed used updated update updating changing changed replaced replacing
		created create creating generator rotate rotated keep kept committed commit know known unknown anybody nobody somebody everybody only
		openssl rand pwgen uuidgen command output result paste copy copied provide provided provider obtained obtain found find
		rootroot rootuser rootpassword foo bar acme corp inc ltd io com dev myapp mydb myuser mykey mysite connection connect connector cipherkey
		jwtsecret sessionsecret cookiesecret master tunnel dns cdn analytics tracking maps map geo location search index indexer scraping
		whale cloudflareapi optional pat pats ro rw rootdbuser p2p sftp ftp unifi plugin plugins theme module core kernel platform dashboard
		portal console panel control controller home house office school university student teacher doctor patient hospital bank wallet
		coin token bitcoin ethereum web3 infura alchemy mnemonic seed private contract testnet mainnet spotify youtube twitch steam omdb tmdb unsplash
		giphy mapbox cloudinary imagekit algolia meilisearch typesense datadog amplitude mixpanel segment hubspot salesforce zendesk intercom notion
		init guess anon role roles algorithm signer cambiar cambia cambiame mudar mude
		trocar troque changez ersetzen aqui ici hier segura seguro sicher mot passe cle kunci anahtar замените измените publishable data permanent airtable asana jira confluence trello linear figma zoom calendar drive sheets`
	// phraseWords are words, and what tells after one of them.
	phraseWords = `
		change replace update rotate set: me it this that these in please now before after the your my for to with by default password secret key immediately at on later asap
		changeme changeit changethis: in now please before for password secret key to
		please: change replace update set use generate put insert enter provide fix rotate
		replace replaced: with by from using before
		generate generated create make: with a an your one using via by strong secure new random this something me it new secure from
		do: not
		dont do: use commit share
		not: for use secure safe production real commit a the so very prod your set
		never: use commit share in
		must should shall: be change replace not
		for: production prod testing development dev local tests demo example
		in: production prod dev development
		dev development test testing local demo example debug: only
		only: for dev testing development local in
		at: least
		use: a strong openssl your the this only something in random secure
		put insert enter add paste fill place provide: your here a the key token api secret password it
		your yours: own api key keys secret token password jwt super very random strong db database app client access private public domain email host user username here openai anthropic stripe google github aws session encryption long service project anon secure production openrouter discord telegram slack
		goes: here
		set fill give: me this in
		key token password secret value string id url code name: here goes
		here: please with
		my our: secret password super awesome precious very key token api app db database jwt secure strong private own random
		keyboard: cat
		super: secret secure strong duper long safe
		very: secret secure strong long insecure safe secury private
		correct: horse
		any some a the: random secret password key token strong secure long string
		todo fixme: change replace set add fill generate
		this: is should must needs has secret password key value string token
		fake dummy example sample placeholder mock test: key token secret password api value string credentials`
	// commonPairs are the pairs of letters that make one in 2,000 or more of those of
	// the vocabulary.
	commonPairs = `
		ab ac ad af ag ai ak al am an ap ar as at au av aw ay az ba bb be bi bl bo br bs bu by ca cc ce ch ci ck cl co cr cs ct cu cy da dd de di dl
		do dr ds du dy ea eb ec ed ee ef eg ei el em en eo ep er es et ev ew ex ey fa fe ff fi fl fo fr ft fu ga ge gg gh gi gl gn go gr gs gu ha he
		hi ho hr ht hu hy ia ib ic id ie if ig ik il im in io ip ir is it iv iz ja je jo ju ka ke ki ko ks ky la ld le lf li ll lo ls lt lu ly ma mb
		me mi mm mo mp ms mu my na nc nd ne nf ng ni nk nn no ns nt nu nv ny oa ob oc od of og oi ok ol om on oo op or os ot ou ov ow oy pa pe ph pi
		pl po pp pr ps pt pu qu ra rb rc rd re rf rg ri rk rl rm rn ro rp rr rs rt ru rv ry sa sc se sh si sk sl sm so sp ss st su sw sy ta tc te th
		ti tl to tr ts tt tu ty ua ub uc ud ue ug ui ul um un up ur us ut va ve vi vo wa we wh wi wn wo xp ya ye ym yo ys za ze`
	// knownDigests are the first ten bytes of the SHA-256 of values that look random:
	// of the samples of jwt.io, Stripe, reCAPTCHA, Azurite, the Cosmos DB emulator,
	// Hardhat, Flask, FastAPI, Airflow, LibreChat, Plane and others.
	knownDigests = `
		0011cc25eb4320717494 03b970ed8171d73b58bb 04eae10378b0a2d1c7c4 05189bb658ed3fe5d32e 05fa3ad2e420f79a2c0b 06d2e911edb4d45985b9
		095101cf732c298a0ce0 0f44b34c6311bcb54786 0fff9ee671b05ea25f58 12b9377cbe7e5c94e8a7 1311aa81b984e23c7343 15cef4b629cc2d07a456
		162fa0be639fd67949ad 1bbb9293c38acc5e510d 1e3e58656012d861e23d 2598f7d6adc142d88161 282ad5f60261639fefed 29f5fb020d17e295858f
		2a1d61d5e1997a7a64a9 2cafc0970149a84f3b9e 2ef2503d964e9668092e 332357b763efca5d5e72 3354cfcf65c7b2e6840e 3905d7432752494c3388
		3b675cf9c99a84686d22 4060ed0ca2678bf694d5 424742fc6538f5e7e01d 45bae8c9a903202a5d7c 45f9af60db8dc522a2d2 4a600642c201fcc26220
		4bbb4874d67062986a55 4d8df5580fe2435a31cc 556615d4f41c211db200 570dad43de1af4c925f9 60a09e4357868c1e9b80 60ed83d1b67e5b3b153f
		65ced91114025567c80a 69024f21e9ad17594dcc 6bd430ff69243d1b780e 6c86c6aac5fb24bcf5d9 7491c2e8cab187288678 77f35b04b0e8226a2f29
		78314b11be2e581549ac 78a953637be05886f841 7c1154b5152983978147 7ce4a597e8bc8aea5e86 7f75367e7881255134e1 81886cc4d79074f6e946
		8335c55334821eefd433 837e8e636d452b6133d5 841b4f5b0b34e19ada74 8750b66d3da97516c608 882f635c2bffbc715a2f 91dce817d883bc7c124a
		91e57f25856b7b5e072f 93a45cad3b41aa9b1b62 9600e8b6b5e7ab0a6360 96597cc109714d6321e5 986c0dc956dc822b5d8f 99ea56ced47c21431d0c
		9b0ce48a51ee2162d5e8 9c5d0a6656e5d3f36601 9e83d7d758da6379110d 9f1185f1546cc1473147 9f1eddb47663a114db60 a69c47e0e9deeb992e6a
		a85e0364709f29f635d3 a8d9cfb26226334e5713 aa6547439583c3a275d4 b0668e67b08805f85981 b1471f544ceeea31333b b4cee395127a5dad6517
		b675742594ec7801b798 bae64d96d8d4de3fed4a bb4978fbe7638de8e6ee bc1a50966c9e6486bc4e bdaef020fcba7e2a9360 bf0b62edab9c25ed15d8
		c042516e4eac1bafaa30 c07799c18d8b80eed953 ca32f86ce10b8435c108 d33d5782b8241f72d311 d463d511eb0f2bb3bbff d65df89f702eec58ca3c
		dcb07bc7ed295c3035e4 df452eef23e8cf2c74af e21b597ba6b9cafa59d9 e240a293b0f598f29e5b f0204fd9e23b094ac34e f2d6ca16515033e5dce1
		f3c3964ca854e172366f f5e95c9954635b65acab f79cd64f9cea237897b8 fb8f35129df87662c650`
)
