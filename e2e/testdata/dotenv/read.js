// Reads dotenv files as dotenv does: see compose/main.go.
const dotenv = require(process.argv[2] + "/node_modules/dotenv");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  // As it reads a file, but for the byte order mark, which Node keeps.
  const text = Buffer.from(JSON.parse(line), "base64").toString("utf8").replace(/^\ufeff/, "");
  const values = dotenv.parse(text);
  const answer = {};
  for (const name in values) answer[name] = Buffer.from(values[name], "utf8").toString("base64");
  console.log(JSON.stringify(answer));
}
