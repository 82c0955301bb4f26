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
		undefined none null unset redacted credential credentials`
	glueWords = `
		a an the my your yours our this that these here there is are was be been it its in on at of off to from for with without by as and or
		not no never do does dont please must should shall will would can could cannot may might need needs have has than then more less
		very really too so some any all every each other same only just least most before after when where which who what how why if else
		use used using set put get make made let me you we us i am im now later once again always enter fill add goes into own up out
		one two than about above below like via per ever anything something whatever`
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
		init guess anon publishable data permanent airtable asana jira confluence trello linear figma zoom calendar drive sheets`
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
	// knownDigests are the SHA-256 of values that look random: of the samples of
	// jwt.io, Stripe, Azurite, the Cosmos DB emulator and others, one a line.
	knownDigests = `
		7f75367e7881255134e1375e723d1dea8ad5f6a4fdb79d938df1f1754a830606
		2cafc0970149a84f3b9e62eaf169f36f59907a3b3e31f7b82e68c69cd27f7326
		f2d6ca16515033e5dce14eba840b979d27b5cbae24bb3e5bf484339667f86397
		b1471f544ceeea31333bde7e1ecbaad6eac0d4a749412ad29bd66ef895b81c6b
		0011cc25eb4320717494d2703e8cba85743e71b500283c21c8b88147992f9059
		aa6547439583c3a275d4542a0df6c1ad6a863971be9f2a2220f027cc02aef615
		78314b11be2e581549ac1c4f616563fad3fdf0c3b71678f6e2299182080e0598
		15cef4b629cc2d07a4563df9516739d4c8d6097eb283e5260fd59299a3c99c56
		03b970ed8171d73b58bbc9a5c72e3e4eec28503b56b3bb400a0801857dd45614
		f5e95c9954635b65acab57e6d5ea663eb900f06dc8794a90358f5abb1c77d4e0
		fb8f35129df87662c650ada12fd614f1b58dce4a37fdd7589ba3a6b9a78c0aae
		1e3e58656012d861e23deae64f177673d7b86a9c55fe1d5d10b94e3c9755d168
		05189bb658ed3fe5d32ed15126acb58d081e02ab8426aa95db03216ec5d87030
		bc1a50966c9e6486bc4ebf880b51611a2a97fcb8e7a6976e9b81a9e3e8ca0e3c
		60a09e4357868c1e9b801052726d061c370429f723db84523ed58ac354f6eb8a
		8335c55334821eefd4334369ff9c04a8594f161013cf9d87f58802d87297837e
		095101cf732c298a0ce0320b9de704209cdd8640b70d8fdf4e5be51aa2eb272e
		dcb07bc7ed295c3035e458a16c92800dab1fea76e1ee482de3cb7865573576fd
		12b9377cbe7e5c94e8a70d9d23929523d14afa954793130f8a3959c7b849aca8
		986c0dc956dc822b5d8f698661b9eb1ef880786ff9043c16744d2a420e99e9bb
		f0204fd9e23b094ac34e69488956fcfbe08310c7c7f16fec2b5e47ddf3711b64
		91dce817d883bc7c124a63bfae1926d7cd0b35b7b792d391f9f694639a702328
		99ea56ced47c21431d0c56ef904f282ae4256adb612c4e890b6daa1b61d0c32c
		2ef2503d964e9668092e6878d3c390ca7909bbbffabd781857115e3be4bb3e5a
		837e8e636d452b6133d5a5c56de1eb57c08a94bbe632804fa621a49014c5c034
		d65df89f702eec58ca3c7bf2001c9ffc7cd80553ae01d42a799ba26756142d96
		6c86c6aac5fb24bcf5d9939cb7d7d5645ce39418f449e03b262dd4fa14b4b92b
		332357b763efca5d5e72e01bd7b941fe3c4345bbfa414f2d2d9abc3f2ae5122a
		65ced91114025567c80a5a4ff9ec225fe980c79de780588fd5ae454b7b28a6cb
		45bae8c9a903202a5d7cf23bec6ad19584bd547410ae9d1ecf4982a7c2fc9064
		556615d4f41c211db200dfd2f4c5e39713c1c75f7ea46e5a80f80b1b989f633c
		29f5fb020d17e295858ffe1ff70ca05cecbfa3b7e2af574a4e77d7da2816a057
		1311aa81b984e23c734305c30e418ba7034ca37fc323f3143cfae89ce639eefc
		91e57f25856b7b5e072fd7dd754ff165e980029ae2e6ec6cc87ab0c08bb06bdd
		05fa3ad2e420f79a2c0b49eae18c9248bbba19d1a3fa8fe94d7f9eedd7671bc4
		bdaef020fcba7e2a9360aea7416e4cb245554d6f764a8ea3bad17a29250aae8d`
)
