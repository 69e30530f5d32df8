use super::*;
use crate::declared::Does;
use serde_json::json;

/// Everything that a request can be made of, in the words of 3.0.
fn shop() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "https://{region}.shop.example.com/v1", "variables": {"region": {"default": "eu"}}}],
        "security": [{"token": []}],
        "paths": {
            "/orders": {
                "parameters": [{"$ref": "#/components/parameters/Trace"}],
                "get": {
                    "operationId": "listOrders", "summary": "Lists orders", "tags": ["orders"],
                    "parameters": [
                        {"name": "status", "in": "query", "schema": {"type": "array", "items": {"type": "string", "enum": ["open", "sent"]}}},
                        {"name": "ids", "in": "query", "explode": false, "schema": {"type": "array", "items": {"type": "integer"}}},
                        {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object", "properties": {"min": {"type": "integer"}}}},
                        {"name": "page[size]", "in": "query", "schema": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}},
                    ],
                    "responses": {},
                },
                "post": {
                    "operationId": "createOrder",
                    "description": "Orders something.",
                    "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}},
                    "responses": {},
                },
            },
            "/orders/{order-id}": {
                "parameters": [{"name": "order-id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "get": {"operationId": "orders/get", "responses": {}, "deprecated": true},
                "delete": {"operationId": "orders/delete", "responses": {}},
                "put": {
                    "operationId": "orders/picture",
                    "requestBody": {"required": true, "content": {"multipart/form-data": {"schema": {"type": "object"}}}},
                    "responses": {},
                },
            },
            "/orders?mine=true#mine": {"get": {
                "operationId": "myOrders", "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}, "responses": {},
            }},
            "/login": {"post": {
                "security": [],
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {
                    "type": "object", "required": ["user"], "properties": {"user": {"type": "string"}, "remember": {"type": "boolean"}},
                }}}},
                "responses": {},
            }},
        },
        "components": {
            "parameters": {"Trace": {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}, "key": {"type": "apiKey", "in": "query", "name": "api_key"}},
            "schemas": {
                "Order": {
                    "type": "object",
                    "required": ["id", "lines"],
                    "properties": {
                        "id": {"type": "string", "readOnly": true},
                        "note": {"type": "string", "nullable": true, "example": "soon"},
                        "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
                    },
                },
                "Line": {
                    "type": "object",
                    "properties": {"article": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}}},
                },
            },
        },
    })
}

fn settings() -> OpenApiSettings {
    OpenApiSettings {
        name: "shop".into(),
        auth: BTreeMap::from([("token".to_owned(), "secret-token".to_owned())]),
        hidden: vec!["secret-token".into()],
        ..OpenApiSettings::default()
    }
}

fn tool<'a>(translated: &'a Translated, name: &str) -> &'a Declared {
    let found = translated.tools.iter().find(|tool| tool.spec.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", translated.tools.iter().map(|tool| &tool.spec.name).collect::<Vec<_>>()))
}

/// What would be sent: method and URL, the headers that are no secrets, and the body.
fn request(tool: &Declared, arguments: &Value) -> (String, HeaderMap, String) {
    let Does::Http(http) = &tool.does else { panic!("it is no request") };
    let request = http.request(arguments).unwrap();
    let body = request.body.map(|body| String::from_utf8(body.to_vec()).unwrap()).unwrap_or_default();
    (format!("{} {}", request.method, request.url), request.headers, body)
}

#[test]
fn parameters_go_where_the_document_says() {
    let translated = translate(&shop(), &settings()).unwrap();
    let list = tool(&translated, "shop__listOrders");
    let arguments = json!({"status": ["open", "sent"], "ids": [1, 2], "filter": {"min": 3}, "page_size": 10, "X-Trace": "t1"});
    let (asked, headers, _) = request(list, &arguments);
    assert_eq!(asked, "GET https://eu.shop.example.com/v1/orders?status=open&status=sent&page%5Bsize%5D=10&ids=1%2C2&filter%5Bmin%5D=3");
    assert_eq!(headers["x-trace"], "t1");
    let (asked, _, _) = request(tool(&translated, "shop__orders_get"), &json!({"order-id": "A 7"}));
    assert_eq!(asked, "GET https://eu.shop.example.com/v1/orders/A%207");
    let (asked, _, body) = request(tool(&translated, "shop__myOrders"), &json!({}));
    assert_eq!((asked.as_str(), body.as_str()), ("GET https://eu.shop.example.com/v1/orders?mine=true", ""));
    let (asked, _, body) = request(tool(&translated, "shop__post_login"), &json!({"user": "ann", "remember": true}));
    assert_eq!((asked.as_str(), body.as_str()), ("POST https://eu.shop.example.com/v1/login", "user=ann&remember=true"));
    let (_, _, body) = request(tool(&translated, "shop__createOrder"), &json!({"body": {"lines": [{"article": "nails"}]}}));
    assert_eq!(body, r#"{"lines":[{"article":"nails"}]}"#);
}

#[test]
fn a_schema_is_whole_and_ends() {
    let translated = translate(&shop(), &settings()).unwrap();
    let schema = tool(&translated, "shop__createOrder").spec.input_schema.to_value().unwrap();
    let body = &schema["properties"]["body"];
    // What only comes back is not asked for, null is a type, and a circle ends where it closes.
    assert_eq!(body["required"], json!(["lines"]));
    assert!(body["properties"].get("id").is_none());
    assert_eq!(body["properties"]["note"], json!({"type": ["string", "null"]}));
    let line = &body["properties"]["lines"]["items"]["properties"];
    assert_eq!(line["article"]["type"], "string");
    assert_eq!(line["parts"]["items"], json!({"description": "as Line above"}));
    assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["body"]), &json!(false)));
    let list = tool(&translated, "shop__listOrders").spec.input_schema.to_value().unwrap();
    assert_eq!(list["properties"]["page_size"], json!({"type": "integer", "exclusiveMinimum": 0}));
    assert_eq!(list["properties"]["status"]["items"]["enum"], json!(["open", "sent"]));
}

#[test]
fn what_is_too_much_to_read_is_told_less_deeply() {
    let mut document = shop();
    let wide: serde_json::Map<String, Value> = (0..200)
        .map(|number| {
            (
                format!("field{number}"),
                json!({"type": "object", "properties": {"deep": {"type": "string", "description": "x".repeat(100)}}}),
            )
        })
        .collect();
    document["components"]["schemas"]["Line"] = json!({"type": "object", "properties": wide});
    let translated = translate(&document, &settings()).unwrap();
    let schema = &tool(&translated, "shop__createOrder").spec.input_schema;
    assert!(schema.size_bytes() < 20_000, "{}", schema.size_bytes());
    assert_eq!(schema.to_value().unwrap()["properties"]["body"]["properties"]["lines"]["type"], "array");
}

#[test]
fn a_document_whose_schemas_all_refer_to_each_other_takes_no_longer() {
    let mut document = shop();
    let level = |next: usize| {
        let fields: serde_json::Map<String, Value> =
            (0..50).map(|field| (format!("f{field}"), json!({"$ref": format!("#/components/schemas/L{next}")}))).collect();
        json!({"type": "object", "properties": fields})
    };
    for number in 0..12 {
        document["components"]["schemas"][format!("L{number}")] = level(number + 1);
    }
    document["components"]["schemas"]["Order"] = level(0);
    let translated = translate(&document, &settings()).unwrap();
    let schema = &tool(&translated, "shop__createOrder").spec.input_schema;
    assert!(schema.size_bytes() < 20_000, "{}", schema.size_bytes());
}

#[test]
fn secrets_are_shown_only_where_they_are_asked_for() {
    let mut with_key = settings();
    with_key.auth.insert("key".into(), "secret-key".into());
    let translated = translate(&shop(), &with_key).unwrap();
    let secrets = |name: &str| match &tool(&translated, name).does {
        Does::Http(http) => http.secrets.clone(),
        _ => HeaderMap::new(),
    };
    assert_eq!(secrets("shop__listOrders")["authorization"], "Bearer secret-token");
    assert!(secrets("shop__listOrders")["authorization"].is_sensitive());
    assert!(secrets("shop__post_login").is_empty());
    // No operation takes the key.
    assert!(!request(tool(&translated, "shop__listOrders"), &json!({})).0.contains("secret-key"));
    let unknown = OpenApiSettings { auth: BTreeMap::from([("tokn".to_owned(), String::new())]), ..settings() };
    assert_eq!(translate(&shop(), &unknown).unwrap_err(), "the document has no security scheme \"tokn\"; it has token, key");
}

#[test]
fn what_is_shown_to_one_host_is_not_shown_to_another() {
    let mut document = shop();
    document["paths"]["/orders"]["get"]["servers"] = json!([{"url": "https://elsewhere.example.com"}]);
    let translated = translate(&document, &settings()).unwrap();
    assert!(!translated.tools.iter().any(|tool| tool.spec.name == "shop__listOrders"));
    assert!(translated.left_out.iter().any(|left| left.contains("its API is at elsewhere.example.com")), "{:?}", translated.left_out);
    // Where nothing is shown, the document may say what it likes.
    let open = OpenApiSettings { name: "shop".into(), ..OpenApiSettings::default() };
    let translated = translate(&document, &open).unwrap();
    assert_eq!(request(tool(&translated, "shop__listOrders"), &json!({})).0, "GET https://elsewhere.example.com/orders");
}

#[test]
fn effects_are_those_of_the_method() {
    let translated = translate(&shop(), &settings()).unwrap();
    let hints = |name: &str| tool(&translated, name).spec.annotations;
    assert_eq!(hints("shop__listOrders").is_read_only, Some(true));
    assert_eq!((hints("shop__createOrder").is_read_only, hints("shop__createOrder").is_destructive), (Some(false), None));
    assert_eq!((hints("shop__orders_delete").is_destructive, hints("shop__orders_delete").is_idempotent), (Some(true), Some(true)));
    // What the config says of them goes before that.
    let annotations = Annotations { is_read_only: Some(true), ..Default::default() };
    let searching = translate(&shop(), &OpenApiSettings { annotations, tags: vec!["search".into()], ..settings() }).unwrap();
    let spec = &tool(&searching, "shop__orders_delete").spec;
    assert_eq!((spec.annotations.is_read_only, spec.annotations.is_idempotent), (Some(true), Some(true)));
    assert_eq!(spec.tags, ["search"]);
    let spec = &tool(&translated, "shop__listOrders").spec;
    assert_eq!((spec.title.as_deref(), spec.tags.as_slice()), (Some("Lists orders"), ["orders".to_owned()].as_slice()));
    assert!(tool(&translated, "shop__orders_get").spec.description.ends_with("GET /orders/{order-id} (deprecated)"));
}

#[test]
fn what_cannot_be_offered_is_said() {
    let translated = translate(&shop(), &settings()).unwrap();
    assert_eq!(
        translated.left_out,
        ["orders/picture cannot be offered: its body is multipart/form-data, which cannot be written by a model"]
    );
    let fault = |document: Value| translate(&document, &settings()).unwrap_err();
    assert!(fault(json!({"info": {}})).contains("no OpenAPI document"));
    assert!(fault(json!({"openapi": "4.0.0"})).contains("OpenAPI 4.0.0 is not known"));
    let mut nowhere = shop();
    nowhere["servers"] = json!([{"url": "/v1"}]);
    assert!(fault(nowhere.clone()).contains("say \"server\""));
    // A document from elsewhere says nothing of other hosts.
    let elsewhere = OpenApiSettings { location: Some(Url::parse("https://docs.example.com/shop.json").unwrap()), ..settings() };
    let error = translate(&shop(), &elsewhere).unwrap_err();
    assert!(error.contains("its API is at eu.shop.example.com, and the document at docs.example.com: say \"server\""), "{error}");
    // Where the document lies says where its API is.
    let located = OpenApiSettings { location: Some(Url::parse("https://docs.example.com/spec/openapi.json").unwrap()), ..settings() };
    let translated = translate(&nowhere, &located).unwrap();
    assert!(request(tool(&translated, "shop__listOrders"), &json!({})).0.ends_with("https://docs.example.com/v1/orders"));
}

#[test]
fn operations_are_selected_by_id_method_and_tag() {
    let names = |include: &[&str], exclude: &[&str]| {
        let include = (!include.is_empty()).then(|| Globs::new(include));
        let chosen = OpenApiSettings { include, exclude: Globs::new(exclude), ..settings() };
        translate(&shop(), &chosen).map(|translated| translated.tools.iter().map(|tool| tool.spec.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(names(&["tag:orders"], &[]).unwrap(), ["shop__listOrders"]);
    assert_eq!(names(&["GET *"], &[]).unwrap(), ["shop__listOrders", "shop__orders_get", "shop__myOrders"]);
    assert_eq!(names(&["*rder*"], &["DELETE *", "create*"]).unwrap(), ["shop__listOrders", "shop__orders_get", "shop__myOrders"]);
    let misspelt = OpenApiSettings { include: Some(Globs::new(["listOrders", "lsitOrders"])), ..settings() };
    assert_eq!(translate(&shop(), &misspelt).unwrap().left_out, ["include: no operation is meant by \"lsitOrders\""]);
    assert!(names(&["nothing"], &[]).unwrap_err().contains("no operation of the document is selected"));
    let mut many = shop();
    for number in 0..=MAX_OPERATIONS {
        many["paths"][format!("/p{number}")] = json!({"get": {"responses": {}}});
    }
    assert!(translate(&many, &settings()).unwrap_err().contains("more than a model can choose from"));
}

#[test]
fn names_are_short_and_distinct() {
    let long = "a".repeat(80);
    let one = name_of("shop", &long, &BTreeSet::new());
    assert!(one.len() <= MAX_NAME && one.starts_with("shop__aaa"));
    let two = name_of("shop", &long, &BTreeSet::from([one.clone()]));
    assert!(two != one && two.len() <= MAX_NAME);
    assert_eq!(name_of("shop", "orders/get.all", &BTreeSet::new()), "shop__orders_get_all");
}

#[test]
fn version_2_says_the_same_in_other_words() {
    let document = json!({
        "swagger": "2.0", "host": "pets.example.com", "basePath": "/v2", "schemes": ["http", "https"], "consumes": ["application/json"],
        "paths": {
            "/pets/{id}": {"post": {
                "operationId": "updatePet", "consumes": ["application/x-www-form-urlencoded"],
                "parameters": [
                    {"name": "id", "in": "path", "required": true, "type": "integer", "format": "int64"},
                    {"name": "name", "in": "formData", "type": "string"},
                    {"name": "tags", "in": "query", "type": "array", "items": {"type": "string"}, "collectionFormat": "csv"},
                ],
            }},
            "/pets": {"put": {
                "operationId": "putPet",
                "parameters": [{"name": "pet", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Pet"}}],
            }},
            "/upload": {"post": {"operationId": "upload", "parameters": [{"name": "file", "in": "formData", "type": "file"}]}},
        },
        "definitions": {"Pet": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "securityDefinitions": {"token": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    });
    let translated = translate(&document, &settings()).unwrap();
    let (asked, _, body) = request(tool(&translated, "shop__updatePet"), &json!({"id": 7, "name": "Rex", "tags": ["a", "b"]}));
    assert_eq!((asked.as_str(), body.as_str()), ("POST https://pets.example.com/v2/pets/7?tags=a%2Cb", "name=Rex"));
    let schema = tool(&translated, "shop__putPet").spec.input_schema.to_value().unwrap();
    assert_eq!(schema["properties"]["body"]["properties"]["name"]["type"], "string");
    let Does::Http(http) = &tool(&translated, "shop__putPet").does else { panic!("it is no request") };
    assert_eq!(http.secrets["x-key"], "secret-token");
    assert!(translated.left_out[0].contains("it takes files"));
}
