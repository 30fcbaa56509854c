//! A headless Chromium, driven over WebDriver: what a reader of a page sees and does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Keys that are no characters, as WebDriver writes them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const RIGHT: &str = "\u{e014}";
pub const DOWN: &str = "\u{e015}";
pub const END: &str = "\u{e010}";

/// A browser with one window. Ends with its driver when dropped.
pub struct Browser {
    driver: Child,
    client: Client<HttpConnector, Full<Bytes>>,
    session: String,
}

impl Browser {
    /// `None`, loudly, where there is no browser.
    pub async fn start() -> Option<Self> {
        let chromium = Command::new("chromium").arg("--version").output();
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let (Ok(_), Ok(mut driver)) = (chromium, driver) else {
            eprintln!("SKIPPED: needs chromium and chromedriver; run tests/lab/setup --tests");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| {
                line.split_once("successfully on port ").map(|(_, rest)| rest.to_owned())
            })
            .find_map(|rest| rest.trim_end_matches('.').parse::<u16>().ok())
            .expect("chromedriver says its port");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut browser =
            Self { driver, client, session: format!("http://127.0.0.1:{port}/session") };
        let options = json!({"args": [
            // The sandbox refuses root, and containers have little /dev/shm.
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            "--window-size=1280,900",
        ]});
        let wanted =
            json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let session = browser.call(Method::POST, "", &body).await;
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let sent = if method == Method::GET { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.session))
            .header("content-type", "application/json")
            .body(Full::from(sent))
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let status = answer.status();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        let mut answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(status.is_success(), "{path} {body}: {answer}");
        answer["value"].take()
    }

    /// Load a page.
    pub async fn open(&self, url: &str) {
        self.call(Method::POST, "/url", &json!({"url": url})).await;
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let body = json!({"script": format!("return ({expression})"), "args": []});
        self.call(Method::POST, "/execute/sync", &body).await
    }

    /// The same for text.
    pub async fn text(&self, expression: &str) -> String {
        let value = self.value(expression).await;
        value.as_str().unwrap_or_else(|| panic!("{expression}: {value}")).to_owned()
    }

    /// Click what a CSS selector finds, with the mouse.
    pub async fn click(&self, selector: &str) {
        // The driver would be content with a place behind what sticks to the window's edge.
        let found = format!("document.querySelector({})", json!(selector));
        self.value(&format!("{found}.scrollIntoView({{ block: 'center' }}) ?? null")).await;
        let body = json!({"using": "css selector", "value": selector});
        let element = self.call(Method::POST, "/element", &body).await;
        let id = element.as_object().and_then(|element| element.values().next()?.as_str());
        self.call(Method::POST, &format!("/element/{}/click", id.unwrap()), &json!({})).await;
    }

    /// Type, into whatever has the focus.
    pub async fn type_keys(&self, keys: &str) {
        let press = |key: char| {
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let body = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.call(Method::POST, "/actions", &body).await;
    }

    /// A command of Chromium's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.call(Method::POST, "/goog/cdp/execute", &body).await
    }

    /// Look at the page in so many pixels, `dark` or `light`.
    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.command("Emulation.setEmulatedMedia", json!({"features": [feature]})).await;
    }

    /// What the page and the browser wrote to the console: mistakes, refusals of the page's policy.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.call(Method::POST, "/se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().expect("a list of messages");
        entries.iter().map(ToString::to_string).collect()
    }

    /// Save what is seen as a picture.
    pub async fn screenshot(&self, file: &Path) {
        let picture = self.call(Method::GET, "/screenshot", &Value::Null).await;
        std::fs::write(file, STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }

    /// The page as it is printed.
    pub async fn pdf(&self) -> Vec<u8> {
        let page = json!({"preferCSSPageSize": true, "printBackground": false});
        let printed = self.command("Page.printToPDF", page).await;
        STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to end, the driver ends its browser.
        if let Some(pid) = Pid::from_raw(self.driver.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.driver.wait();
    }
}
