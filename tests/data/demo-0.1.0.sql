BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('f460b0348206');
CREATE TABLE api_tokens (
	user_id INTEGER, 
	service_id INTEGER, 
	id INTEGER NOT NULL, 
	hashed VARCHAR(255), 
	prefix VARCHAR(16), 
	client_id VARCHAR(255), 
	session_id VARCHAR(255), 
	created DATETIME, 
	expires_at DATETIME, 
	last_activity DATETIME, 
	note VARCHAR(1023), 
	scopes TEXT, 
	CONSTRAINT pk_api_tokens PRIMARY KEY (id), 
	CONSTRAINT fk_api_tokens_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_api_tokens_service_id_services FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE, 
	CONSTRAINT uq_api_tokens_hashed UNIQUE (hashed), 
	CONSTRAINT fk_api_tokens_client_id_oauth_clients FOREIGN KEY(client_id) REFERENCES oauth_clients (identifier) ON DELETE CASCADE
);
CREATE TABLE group_role_map (
	group_id INTEGER NOT NULL, 
	role_id INTEGER NOT NULL, 
	managed_by_auth BOOLEAN NOT NULL, 
	CONSTRAINT pk_group_role_map PRIMARY KEY (group_id, role_id), 
	CONSTRAINT fk_group_role_map_group_id_groups FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE, 
	CONSTRAINT fk_group_role_map_role_id_roles FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE
);
CREATE TABLE groups (
	id INTEGER NOT NULL, 
	name VARCHAR(255), 
	properties TEXT, 
	CONSTRAINT pk_groups PRIMARY KEY (id), 
	CONSTRAINT uq_groups_name UNIQUE (name)
);
CREATE TABLE oauth_clients (
	id INTEGER NOT NULL, 
	identifier VARCHAR(255), 
	description VARCHAR(1023), 
	secret VARCHAR(255), 
	redirect_uri VARCHAR(1023), 
	allowed_scopes TEXT, 
	CONSTRAINT pk_oauth_clients PRIMARY KEY (id), 
	CONSTRAINT uq_oauth_clients_identifier UNIQUE (identifier)
);
CREATE TABLE oauth_codes (
	id INTEGER NOT NULL, 
	client_id VARCHAR(255), 
	code VARCHAR(36), 
	expires_at INTEGER, 
	redirect_uri VARCHAR(1023), 
	session_id VARCHAR(255), 
	user_id INTEGER, 
	scopes TEXT, 
	code_challenge VARCHAR(255), 
	code_challenge_method VARCHAR(64), 
	CONSTRAINT pk_oauth_codes PRIMARY KEY (id), 
	CONSTRAINT fk_oauth_codes_client_id_oauth_clients FOREIGN KEY(client_id) REFERENCES oauth_clients (identifier) ON DELETE CASCADE, 
	CONSTRAINT fk_oauth_codes_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE renku_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT renku_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "renku_alembic_version" VALUES('0006');
CREATE TABLE renku_audit (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR NOT NULL, 
	username VARCHAR, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_renku_audit PRIMARY KEY (id)
);
INSERT INTO "renku_audit" VALUES(1,'2026-11-24 12:00:05.000000','alice',NULL,'storage added','alice/alpine-snow/weather','{"kind": "volume", "credentials": "none"}');
INSERT INTO "renku_audit" VALUES(2,'2026-11-24 12:00:10.000000','alice',NULL,'storage added','alice/lake-ice/weather','{"kind": "volume", "credentials": "none"}');
CREATE TABLE renku_builds (
	source VARCHAR NOT NULL, 
	ref VARCHAR NOT NULL, 
	image VARCHAR NOT NULL, 
	looked_at DATETIME NOT NULL, 
	answered BOOLEAN NOT NULL, 
	since DATETIME, 
	found JSON NOT NULL, 
	CONSTRAINT pk_renku_builds PRIMARY KEY (source, ref, image)
);
CREATE TABLE renku_environments (
	id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	project VARCHAR, 
	"key" VARCHAR, 
	name VARCHAR NOT NULL, 
	folded_name VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	keywords JSON NOT NULL, 
	icon VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	successor VARCHAR, 
	message TEXT NOT NULL, 
	created_by VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	current_revision VARCHAR NOT NULL, 
	search TEXT NOT NULL, archived_at DATETIME, version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_renku_environments PRIMARY KEY (id), 
	CONSTRAINT fk_renku_environments_project FOREIGN KEY(project) REFERENCES renku_projects (id)
);
INSERT INTO "renku_environments" VALUES('dugo274pafhs','default',NULL,'jupyter-python','Jupyter Python','jupyter python','JupyterLab with Python and the packages that most analyses need.','["python", "jupyter", "notebook"]','',0,'active',NULL,'','the hub''s configuration','2026-11-24 12:00:00.000000','d4a7unzqwwye','jupyter python
jupyterlab with python and the packages that most analyses need.
pythonjupyternotebook',NULL,1);
CREATE TABLE renku_images (
	reference VARCHAR NOT NULL, 
	verdict VARCHAR NOT NULL, 
	digest VARCHAR, 
	since DATETIME, 
	looked_at DATETIME NOT NULL, 
	answered BOOLEAN NOT NULL, 
	facts JSON NOT NULL, 
	CONSTRAINT pk_renku_images PRIMARY KEY (reference)
);
CREATE TABLE renku_instances (
	id VARCHAR NOT NULL, 
	session VARCHAR NOT NULL, 
	username VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	environment VARCHAR NOT NULL, 
	slot VARCHAR, 
	desired VARCHAR NOT NULL, 
	observed VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	run VARCHAR, 
	claim VARCHAR, 
	revision VARCHAR, 
	fingerprint VARCHAR, 
	resource_class VARCHAR, 
	url TEXT, 
	reason VARCHAR, 
	message TEXT, 
	advice TEXT, 
	ended_reason VARCHAR, 
	notices JSON NOT NULL, 
	requested_at DATETIME, 
	stage_at DATETIME, 
	deadline DATETIME, 
	ready_at DATETIME, 
	last_activity DATETIME, 
	last_seen DATETIME, 
	paused_at DATETIME, 
	active BOOLEAN NOT NULL, 
	listed BOOLEAN NOT NULL, spent JSON, due_at DATETIME, awake_until DATETIME, idle_pause INTEGER, reported_at DATETIME, disk_used BIGINT, disk_used_at DATETIME, kept_from DATETIME, deleted_on DATETIME, trashed_until DATETIME, look_at DATETIME, warned INTEGER, without_storages JSON, failed_storages JSON, turn INTEGER, 
	CONSTRAINT pk_renku_instances PRIMARY KEY (id), 
	CONSTRAINT fk_renku_instances_session FOREIGN KEY(session) REFERENCES renku_sessions (id)
);
INSERT INTO "renku_instances" VALUES('tmphcrwjau7i','bj57xmq7573c','alice','xvfss5jtbxx5','dugo274pafhs',NULL,'stopped','absent',7,'pxgm2j4afa4f','ro6isf2kit2y','d4a7unzqwwye','63cedb9559c748cc','small',NULL,NULL,NULL,NULL,'stopped_by_user','[]','2026-11-24 12:00:14.000000','2026-11-24 12:00:24.000000',NULL,'2026-11-24 12:00:22.000000','2026-11-24 12:00:22.000000','2026-11-24 12:00:22.000000','2026-11-24 12:00:26.000000',0,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "renku_instances" VALUES('a6ut4uh75kjn','ju5g4q4l36er','carol','soidg36j6oh5','dugo274pafhs',NULL,'stopped','absent',3,'zjmyagyedwwb','nv5oezcmlcd4','d4a7unzqwwye','4347426080d4dfc2','small',NULL,'crash_exit','The program ended with code 1.','See the last lines of its log.','crash_exit','[]','2026-11-24 12:00:31.000000','2026-11-24 12:00:33.000000',NULL,NULL,NULL,'2026-11-24 12:00:33.000000','2026-11-24 12:00:35.000000',0,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE renku_launches (
	id VARCHAR NOT NULL, 
	session VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	username VARCHAR NOT NULL, 
	revision VARCHAR NOT NULL, 
	image VARCHAR NOT NULL, 
	resource_class VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	reason VARCHAR, 
	message TEXT, 
	log TEXT NOT NULL, 
	requested_at DATETIME NOT NULL, 
	ready_at DATETIME, 
	ended_at DATETIME, 
	seconds FLOAT, environment VARCHAR, stages JSON, 
	CONSTRAINT pk_renku_launches PRIMARY KEY (id)
);
INSERT INTO "renku_launches" VALUES('pxgm2j4afa4f','bj57xmq7573c','xvfss5jtbxx5','alice','d4a7unzqwwye','d4a7unzqwwye','small','ended','stopped_by_user',NULL,'Jupyter Server is running
','2026-11-24 12:00:14.000000','2026-11-24 12:00:22.000000','2026-11-24 12:00:28.000000',8.0,'dugo274pafhs','{"creating": 2.0, "preparing": 2.0, "starting": 2.0, "waiting": 2.0}');
INSERT INTO "renku_launches" VALUES('zjmyagyedwwb','ju5g4q4l36er','soidg36j6oh5','carol','d4a7unzqwwye','d4a7unzqwwye','small','failed','crash_exit','The program ended with code 1.','ImportError
','2026-11-24 12:00:31.000000',NULL,'2026-11-24 12:00:37.000000',NULL,'dugo274pafhs','{"creating": 2.0, "waiting": 5.0}');
CREATE TABLE renku_members (
	project VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	role INTEGER NOT NULL, 
	added_at DATETIME NOT NULL, 
	CONSTRAINT pk_renku_members PRIMARY KEY (project, kind, name), 
	CONSTRAINT fk_renku_members_project FOREIGN KEY(project) REFERENCES renku_projects (id)
);
INSERT INTO "renku_members" VALUES('xvfss5jtbxx5','user','alice',3,'2026-11-24 12:00:01.000000');
INSERT INTO "renku_members" VALUES('xvfss5jtbxx5','user','bob',2,'2026-11-24 12:00:02.000000');
INSERT INTO "renku_members" VALUES('xvfss5jtbxx5','user','carol',1,'2026-11-24 12:00:02.000000');
INSERT INTO "renku_members" VALUES('soidg36j6oh5','user','alice',3,'2026-11-24 12:00:06.000000');
INSERT INTO "renku_members" VALUES('soidg36j6oh5','user','bob',2,'2026-11-24 12:00:07.000000');
INSERT INTO "renku_members" VALUES('soidg36j6oh5','user','carol',1,'2026-11-24 12:00:07.000000');
CREATE TABLE renku_packages (
	digest VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	CONSTRAINT pk_renku_packages PRIMARY KEY (digest, name, version)
);
CREATE TABLE renku_paths (
	folded_path VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	CONSTRAINT pk_renku_paths PRIMARY KEY (folded_path), 
	CONSTRAINT fk_renku_paths_project FOREIGN KEY(project) REFERENCES renku_projects (id)
);
CREATE TABLE renku_people (
	name VARCHAR NOT NULL, 
	since DATETIME, 
	CONSTRAINT pk_renku_people PRIMARY KEY (name)
);
INSERT INTO "renku_people" VALUES('alice','2026-11-24 12:00:00.000000');
INSERT INTO "renku_people" VALUES('bob','2026-11-24 12:00:00.000000');
INSERT INTO "renku_people" VALUES('carol','2026-11-24 12:00:00.000000');
INSERT INTO "renku_people" VALUES('dave','2026-11-24 12:00:00.000000');
INSERT INTO "renku_people" VALUES('admin','2026-11-24 12:00:00.000000');
CREATE TABLE renku_projects (
	id VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	source_id VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	folded_path VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	folded_title VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	visibility VARCHAR NOT NULL, 
	search TEXT NOT NULL, 
	default_session VARCHAR, 
	session_count INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	created_by VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, directory VARCHAR, listed BOOLEAN DEFAULT 1 NOT NULL, 
	CONSTRAINT pk_renku_projects PRIMARY KEY (id)
);
INSERT INTO "renku_projects" VALUES('xvfss5jtbxx5','hub','xvfss5jtbxx5','alice/alpine-snow','alice/alpine-snow','Snow in the Alps','snow in the alps','How deep the snow lies, and for how long. All users may start its sessions.','public','snow in the alps
alice/alpine-snow
how deep the snow lies, and for how long. all users may start its sessions.
','bj57xmq7573c',1,3,'alice','2026-11-24 12:00:01.000000',NULL,NULL,1);
INSERT INTO "renku_projects" VALUES('soidg36j6oh5','hub','soidg36j6oh5','alice/lake-ice','alice/lake-ice','Ice on mountain lakes','ice on mountain lakes','When lakes freeze and thaw. For members only.','private','ice on mountain lakes
alice/lake-ice
when lakes freeze and thaw. for members only.
','ju5g4q4l36er',1,3,'alice','2026-11-24 12:00:06.000000',NULL,NULL,1);
CREATE TABLE renku_repositories (
	project VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	directory VARCHAR NOT NULL, 
	folded_directory VARCHAR NOT NULL, 
	url TEXT NOT NULL, 
	ref VARCHAR, 
	lfs BOOLEAN NOT NULL, 
	submodules BOOLEAN NOT NULL, 
	CONSTRAINT pk_renku_repositories PRIMARY KEY (project, position), 
	CONSTRAINT fk_renku_repositories_project FOREIGN KEY(project) REFERENCES renku_projects (id)
);
INSERT INTO "renku_repositories" VALUES('xvfss5jtbxx5',0,'snow-analysis','snow-analysis','http://127.0.0.1:8003/snow-analysis.git',NULL,0,0);
INSERT INTO "renku_repositories" VALUES('xvfss5jtbxx5',1,'snow-data','snow-data','http://127.0.0.1:8003/snow-data.git',NULL,0,0);
INSERT INTO "renku_repositories" VALUES('soidg36j6oh5',0,'ice-analysis','ice-analysis','http://127.0.0.1:8003/ice-analysis.git',NULL,0,0);
INSERT INTO "renku_repositories" VALUES('soidg36j6oh5',1,'ice-data','ice-data','http://127.0.0.1:8003/ice-data.git',NULL,0,0);
CREATE TABLE renku_revisions (
	id VARCHAR NOT NULL, 
	environment VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	image TEXT NOT NULL, 
	repository TEXT NOT NULL, 
	tag VARCHAR, 
	digest VARCHAR, 
	facts JSON NOT NULL, 
	run JSON NOT NULL, 
	"commit" VARCHAR, 
	created_by VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, built JSON, 
	CONSTRAINT pk_renku_revisions PRIMARY KEY (id), 
	CONSTRAINT fk_renku_revisions_environment FOREIGN KEY(environment) REFERENCES renku_environments (id)
);
INSERT INTO "renku_revisions" VALUES('d4a7unzqwwye','dugo274pafhs',1,'quay.io/jupyter/scipy-notebook:2026-11-02','quay.io/jupyter/scipy-notebook','2026-11-02',NULL,'{}','{"default_url": "/lab", "port": 8888, "command": [], "arguments": [], "working_directory": "/work", "uid": null, "gid": null, "image_user": false, "group": null, "idle_pause": null}',NULL,'the hub''s configuration','2026-11-24 12:00:00.000000',NULL);
CREATE TABLE renku_rounds (
	name VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	said TEXT NOT NULL, 
	CONSTRAINT pk_renku_rounds PRIMARY KEY (name)
);
CREATE TABLE renku_sessions (
	id VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	environment VARCHAR NOT NULL, 
	revision VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	folded_title VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	search TEXT NOT NULL, 
	cpu VARCHAR NOT NULL, 
	memory VARCHAR NOT NULL, 
	gpu INTEGER NOT NULL, 
	disk VARCHAR NOT NULL, 
	repositories JSON, 
	variables JSON NOT NULL, 
	created_by VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, 
	version INTEGER NOT NULL, 
	position INTEGER NOT NULL, dismissed VARCHAR, storages JSON, 
	CONSTRAINT pk_renku_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_renku_sessions_environment FOREIGN KEY(environment) REFERENCES renku_environments (id), 
	CONSTRAINT fk_renku_sessions_project FOREIGN KEY(project) REFERENCES renku_projects (id), 
	CONSTRAINT fk_renku_sessions_revision FOREIGN KEY(revision) REFERENCES renku_revisions (id)
);
INSERT INTO "renku_sessions" VALUES('bj57xmq7573c','xvfss5jtbxx5','dugo274pafhs','d4a7unzqwwye','Snow, interactively','snow, interactively','','snow, interactively

','500m','1Gi',0,'1Gi',NULL,'{"STATION": "Weissfluhjoch"}','bob','2026-11-24 12:00:11.000000',NULL,1,1,NULL,NULL);
INSERT INTO "renku_sessions" VALUES('ju5g4q4l36er','soidg36j6oh5','dugo274pafhs','d4a7unzqwwye','Ice, interactively','ice, interactively','','ice, interactively

','500m','1Gi',0,'1Gi','["ice-analysis"]','{}','bob','2026-11-24 12:00:12.000000',NULL,1,1,NULL,NULL);
CREATE TABLE renku_software (
	digest VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	found_at DATETIME NOT NULL, 
	found JSON NOT NULL, 
	CONSTRAINT pk_renku_software PRIMARY KEY (digest)
);
CREATE TABLE renku_storage_credentials (
	storage VARCHAR NOT NULL, 
	username VARCHAR NOT NULL, 
	secret TEXT NOT NULL, 
	kept_at DATETIME NOT NULL, 
	CONSTRAINT pk_renku_storage_credentials PRIMARY KEY (storage, username), 
	CONSTRAINT fk_renku_storage_credentials_storage FOREIGN KEY(storage) REFERENCES renku_storages (id)
);
CREATE TABLE renku_storages (
	id VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	directory VARCHAR NOT NULL, 
	folded_directory VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	settings JSON NOT NULL, 
	path TEXT NOT NULL, 
	credentials VARCHAR NOT NULL, 
	secret TEXT, 
	read_only BOOLEAN NOT NULL, 
	version INTEGER NOT NULL, 
	created_by VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	checked JSON, 
	CONSTRAINT pk_renku_storages PRIMARY KEY (id), 
	CONSTRAINT fk_renku_storages_project FOREIGN KEY(project) REFERENCES renku_projects (id)
);
INSERT INTO "renku_storages" VALUES('nfz7h37zq26b','xvfss5jtbxx5',1,'weather','weather','volume','{"volume": "weather"}','','none',NULL,1,1,'alice','2026-11-24 12:00:03.000000','{"outcome": "not_checked", "at": "2026-11-24T12:00:04+00:00"}');
INSERT INTO "renku_storages" VALUES('v6qzt6z3msra','soidg36j6oh5',1,'weather','weather','volume','{"volume": "weather"}','','none',NULL,1,1,'alice','2026-11-24 12:00:08.000000','{"outcome": "not_checked", "at": "2026-11-24T12:00:09+00:00"}');
CREATE TABLE roles (
	id INTEGER NOT NULL, 
	name VARCHAR(255), 
	description VARCHAR(1023), 
	scopes TEXT, 
	managed_by_auth BOOLEAN NOT NULL, 
	CONSTRAINT pk_roles PRIMARY KEY (id), 
	CONSTRAINT uq_roles_name UNIQUE (name)
);
CREATE TABLE servers (
	id INTEGER NOT NULL, 
	proto VARCHAR(15), 
	ip VARCHAR(255), 
	port INTEGER, 
	base_url VARCHAR(255), 
	cookie_name VARCHAR(255), 
	CONSTRAINT pk_servers PRIMARY KEY (id)
);
CREATE TABLE service_role_map (
	service_id INTEGER NOT NULL, 
	role_id INTEGER NOT NULL, 
	managed_by_auth BOOLEAN NOT NULL, 
	CONSTRAINT pk_service_role_map PRIMARY KEY (service_id, role_id), 
	CONSTRAINT fk_service_role_map_service_id_services FOREIGN KEY(service_id) REFERENCES services (id) ON DELETE CASCADE, 
	CONSTRAINT fk_service_role_map_role_id_roles FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE
);
CREATE TABLE services (
	id INTEGER NOT NULL, 
	name VARCHAR(255), 
	admin BOOLEAN, 
	url VARCHAR(2047), 
	oauth_client_allowed_scopes TEXT, 
	info TEXT, 
	display BOOLEAN, 
	oauth_no_confirm BOOLEAN, 
	command TEXT, 
	cwd VARCHAR(4095), 
	environment TEXT, 
	user VARCHAR(255), 
	timeout INTEGER NOT NULL, 
	from_config BOOLEAN, 
	_server_id INTEGER, 
	pid INTEGER, 
	oauth_client_id VARCHAR(255), 
	CONSTRAINT pk_services PRIMARY KEY (id), 
	CONSTRAINT uq_services_name UNIQUE (name), 
	CONSTRAINT fk_services__server_id_servers FOREIGN KEY(_server_id) REFERENCES servers (id) ON DELETE SET NULL, 
	CONSTRAINT fk_services_oauth_client_id_oauth_clients FOREIGN KEY(oauth_client_id) REFERENCES oauth_clients (identifier) ON DELETE SET NULL
);
CREATE TABLE share_codes (
	hashed VARCHAR(255), 
	prefix VARCHAR(16), 
	exchange_count INTEGER, 
	last_exchanged_at DATETIME, 
	id INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	scopes TEXT, 
	expires_at DATETIME, 
	owner_id INTEGER, 
	spawner_id INTEGER, 
	CONSTRAINT pk_share_codes PRIMARY KEY (id), 
	CONSTRAINT uq_share_codes_hashed UNIQUE (hashed), 
	CONSTRAINT fk_share_codes_owner_id_users FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_share_codes_spawner_id_spawners FOREIGN KEY(spawner_id) REFERENCES spawners (id) ON DELETE CASCADE
);
CREATE TABLE shares (
	user_id INTEGER, 
	group_id INTEGER, 
	id INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	scopes TEXT, 
	expires_at DATETIME, 
	owner_id INTEGER, 
	spawner_id INTEGER, 
	CONSTRAINT pk_shares PRIMARY KEY (id), 
	CONSTRAINT fk_shares_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_shares_group_id_groups FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE, 
	CONSTRAINT fk_shares_owner_id_users FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_shares_spawner_id_spawners FOREIGN KEY(spawner_id) REFERENCES spawners (id) ON DELETE CASCADE
);
CREATE TABLE spawners (
	id INTEGER NOT NULL, 
	user_id INTEGER, 
	server_id INTEGER, 
	state TEXT, 
	name VARCHAR(255), 
	display_name VARCHAR(255), 
	started DATETIME, 
	last_activity DATETIME, 
	user_options TEXT, 
	oauth_client_id VARCHAR(255), 
	CONSTRAINT pk_spawners PRIMARY KEY (id), 
	CONSTRAINT fk_spawners_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_spawners_server_id_servers FOREIGN KEY(server_id) REFERENCES servers (id) ON DELETE SET NULL, 
	CONSTRAINT fk_spawners_oauth_client_id_oauth_clients FOREIGN KEY(oauth_client_id) REFERENCES oauth_clients (identifier) ON DELETE SET NULL
);
CREATE TABLE user_group_map (
	user_id INTEGER NOT NULL, 
	group_id INTEGER NOT NULL, 
	CONSTRAINT pk_user_group_map PRIMARY KEY (user_id, group_id), 
	CONSTRAINT fk_user_group_map_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_user_group_map_group_id_groups FOREIGN KEY(group_id) REFERENCES groups (id) ON DELETE CASCADE
);
CREATE TABLE user_role_map (
	user_id INTEGER NOT NULL, 
	role_id INTEGER NOT NULL, 
	managed_by_auth BOOLEAN NOT NULL, 
	CONSTRAINT pk_user_role_map PRIMARY KEY (user_id, role_id), 
	CONSTRAINT fk_user_role_map_user_id_users FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE, 
	CONSTRAINT fk_user_role_map_role_id_roles FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE CASCADE
);
CREATE TABLE users (
	id INTEGER NOT NULL, 
	name VARCHAR(255), 
	user_info TEXT, 
	admin BOOLEAN, 
	created DATETIME, 
	last_activity DATETIME, 
	cookie_id VARCHAR(255) NOT NULL, 
	state TEXT, 
	encrypted_auth_state BLOB, 
	CONSTRAINT pk_users PRIMARY KEY (id), 
	CONSTRAINT uq_users_name UNIQUE (name), 
	CONSTRAINT uq_users_cookie_id UNIQUE (cookie_id)
);
INSERT INTO "users" VALUES(1,'alice',NULL,0,'2026-11-24 12:00:00.000000',NULL,'cookie-alice',NULL,NULL);
INSERT INTO "users" VALUES(2,'bob',NULL,0,'2026-11-24 12:00:00.000000',NULL,'cookie-bob',NULL,NULL);
INSERT INTO "users" VALUES(3,'carol',NULL,0,'2026-11-24 12:00:00.000000',NULL,'cookie-carol',NULL,NULL);
INSERT INTO "users" VALUES(4,'dave',NULL,0,'2026-11-24 12:00:00.000000',NULL,'cookie-dave',NULL,NULL);
INSERT INTO "users" VALUES(5,'admin',NULL,1,'2026-11-24 12:00:00.000000',NULL,'cookie-admin',NULL,NULL);
CREATE INDEX ix_share_codes_prefix ON share_codes (prefix);
CREATE INDEX ix_api_tokens_prefix ON api_tokens (prefix);
CREATE INDEX ix_renku_projects_listed ON renku_projects (visibility, folded_title, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_renku_projects_path ON renku_projects (folded_path) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_renku_projects_source ON renku_projects (source, source_id);
CREATE INDEX ix_renku_members_name ON renku_members (kind, name, project);
CREATE UNIQUE INDEX uq_renku_repositories_directory ON renku_repositories (project, folded_directory);
CREATE INDEX ix_renku_paths_project ON renku_paths (project);
CREATE INDEX ix_renku_environments_offered ON renku_environments (kind, state, position, folded_name);
CREATE UNIQUE INDEX uq_renku_environments_key ON renku_environments ("key");
CREATE UNIQUE INDEX uq_renku_revisions_number ON renku_revisions (environment, number);
CREATE INDEX ix_renku_sessions_age ON renku_sessions (project, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ix_renku_sessions_page ON renku_sessions (project, position, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX uq_renku_sessions_title ON renku_sessions (project, folded_title) WHERE deleted_at IS NULL;
CREATE INDEX ix_renku_instances_active ON renku_instances (active, username);
CREATE INDEX ix_renku_instances_listed ON renku_instances (username, listed, requested_at, id);
CREATE UNIQUE INDEX uq_renku_instances_session ON renku_instances (session, username);
CREATE UNIQUE INDEX uq_renku_instances_slot ON renku_instances (username, slot);
CREATE INDEX ix_renku_launches_age ON renku_launches (requested_at);
CREATE INDEX ix_renku_launches_mine ON renku_launches (username, session, requested_at);
CREATE INDEX ix_renku_launches_usual ON renku_launches (image, requested_at);
CREATE INDEX ix_renku_audit_at ON renku_audit (at, id);
CREATE INDEX ix_renku_sessions_revision ON renku_sessions (revision);
CREATE INDEX ix_renku_instances_desired ON renku_instances (desired, username, id);
CREATE INDEX ix_renku_instances_project ON renku_instances (project);
CREATE INDEX ix_renku_instances_claim ON renku_instances (claim);
CREATE INDEX ix_renku_instances_ended ON renku_instances (ended_reason, requested_at, id);
CREATE INDEX ix_renku_instances_latest ON renku_instances (listed, requested_at, id);
CREATE INDEX ix_renku_launches_environment ON renku_launches (environment, requested_at, outcome);
CREATE INDEX ix_renku_launches_outcome ON renku_launches (outcome, requested_at, reason);
CREATE INDEX ix_renku_audit_actor ON renku_audit (actor, at, id);
CREATE INDEX ix_renku_audit_action ON renku_audit (action, at, id);
CREATE INDEX ix_renku_instances_latest_active ON renku_instances (requested_at, id) WHERE active = 1;
CREATE INDEX ix_renku_instances_latest_failed ON renku_instances (requested_at, id) WHERE reason IS NOT NULL;
CREATE INDEX ix_renku_instances_idle ON renku_instances (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX ix_renku_instances_due ON renku_instances (look_at, id) WHERE look_at IS NOT NULL;
CREATE INDEX ix_renku_instances_warned ON renku_instances (id) WHERE warned > 0;
CREATE INDEX ix_renku_instances_line ON renku_instances (turn, requested_at, id) WHERE turn IS NOT NULL;
CREATE UNIQUE INDEX uq_renku_storages_directory ON renku_storages (project, folded_directory);
CREATE INDEX ix_renku_storages_page ON renku_storages (project, position, id);
CREATE INDEX ix_renku_storage_credentials_mine ON renku_storage_credentials (username);
CREATE INDEX ix_renku_packages_name ON renku_packages (name, digest);
COMMIT;
