// Makes access.log: starts a private Apache on 127.0.0.1, sends it real requests from 29 loopback clients for about
// 75 seconds, and copies the log that it wrote. Not part of the tests: the log is in the repository.
//
//   apt-get install apache2         (Debian or Ubuntu; the service itself need not run)
//   node examples/ip-count/make-access-log.mjs [output file] [seconds]
//
// What makes some lines late: %t is the time a request came in, the line is written when its response has gone out,
// so rate-limited downloads and slowly sent forms stand behind lines that are up to 12 s younger.
// What makes some lines malformed: the virtual host's error log goes to the same file; the access lines go through sed,
// which writes blocks, so an error line can cut an access line in two; and sed is killed once in the middle of the run,
// with a line half written.

import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const PORT = 18080
const output = process.argv[2] ?? fileURLToPath(new URL('access.log', import.meta.url))
const seconds = Number(process.argv[3] ?? 75)
const modules = process.env.APACHE_MODULES ?? '/usr/lib/apache2/modules'
const binary = process.env.APACHE ?? '/usr/sbin/apache2'
const root = mkdtempSync(join(tmpdir(), 'ip-count-'))
const log = join(root, 'access.log')

// ---- the site ----

chmodSync(root, 0o755)
for (const folder of ['htdocs', 'htdocs/docs', 'htdocs/downloads', 'htdocs/private', 'cgi-bin']) mkdirSync(join(root, folder))
for (const [page, size] of [
  ['index.html', 1800],
  ['style.css', 4200],
  ['app.js', 15300],
  ['logo.svg', 2600],
  ['favicon.ico', 1150],
  ['docs/index.html', 5200],
  ['docs/windows.html', 9100],
  ['docs/state.html', 7400],
  ['docs/a b.html', 900],
]) {
  writeFileSync(join(root, 'htdocs', page), 'x'.repeat(size))
}
for (const kib of [14, 22, 30, 44]) writeFileSync(join(root, 'htdocs/downloads', `sample-${kib}k.bin`), Buffer.alloc(kib * 1024))
writeFileSync(join(root, 'htdocs/private/index.html'), 'private')
writeFileSync(join(root, 'users'), 'admin:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n')
writeFileSync(join(root, 'cgi-bin/form'), '#!/bin/sh\ncat > /dev/null\nprintf "Content-Type: text/plain\\n\\nthank you\\n"\n', { mode: 0o755 })
// Apache ends its loggers with a SIGTERM; ignored, so that sed writes what it holds when the pipe closes.
writeFileSync(join(root, 'logger.sh'), `trap '' TERM\necho $$ > ${root}/logger.pid\nexec sed -e 's/session=[0-9a-f]*/session=x/' >> ${log}\n`)
writeFileSync(
  join(root, 'httpd.conf'),
  `ServerRoot ${root}
ServerName localhost
PidFile ${root}/httpd.pid
Listen 127.0.0.1:${PORT}
${process.getuid() === 0 ? 'User www-data\nGroup www-data\n' : ''}
${['mpm_event', 'authn_core', 'authn_file', 'authz_core', 'authz_user', 'auth_basic', 'alias', 'cgid', 'dir', 'env', 'mime', 'ratelimit', 'reqtimeout'].map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join('\n')}
TypesConfig /etc/mime.types
ScriptSock ${root}/cgid.sock
ErrorLog ${root}/server-error.log
LogLevel warn
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
KeepAliveTimeout 5
RequestReadTimeout header=4 body=30
<VirtualHost 127.0.0.1:${PORT}>
  ServerName localhost
  DocumentRoot ${root}/htdocs
  ErrorLog ${log}
  CustomLog "|/bin/sh ${root}/logger.sh" combined
  ScriptAlias /cgi-bin/ ${root}/cgi-bin/
  DirectoryIndex index.html
  Redirect permanent /old /docs/
  <Directory ${root}/htdocs>
    Require all granted
  </Directory>
  <Directory ${root}/cgi-bin>
    Require all granted
  </Directory>
  <Location /downloads>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 4
  </Location>
  <Location /private>
    AuthType Basic
    AuthName private
    AuthUserFile ${root}/users
    Require valid-user
  </Location>
</VirtualHost>
`,
)

// ---- its visitors ----

const clients = Array.from({ length: 29 }, (_, i) => `127.0.0.${i + 2}`)
const agents = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64)',
  'curl/7.88.1',
  'feed-reader "quick" 1.2',
  'crawler\\1.0 (+http://localhost/about)',
  '',
]
/** About 1/rank over the clients. */
const skewed = () => clients[Math.min(clients.length - 1, Math.floor(Math.exp(Math.random() * Math.log(clients.length + 1)) - 1))]
const pick = (list) => list[Math.floor(Math.random() * list.length)]

const pages = [
  '/',
  '/',
  '/style.css',
  '/app.js',
  '/logo.svg',
  '/favicon.ico',
  '/docs/',
  '/docs/windows.html',
  '/docs/state.html',
  '/docs/a%20b.html',
  '/docs?session=3fa9',
  '/missing.html',
  '/old',
  '/wp-login.php',
]
const pending = new Set()
let sent = 0

/** Sends a request; `bodyParts` are written one a second. The answer is read to its end, whatever it is. */
function send(path, { method = 'GET', headers = {}, bodyParts = [], localAddress = skewed() } = {}) {
  const done = new Promise((resolve) => {
    const agent = agents[clients.indexOf(localAddress) % agents.length]
    const call = request(
      {
        host: '127.0.0.1',
        port: PORT,
        localAddress,
        method,
        path,
        agent: false,
        headers: { ...(agent === '' ? {} : { 'User-Agent': agent }), ...headers },
      },
      (response) => response.resume().on('close', resolve).on('error', resolve),
    )
    call.on('error', resolve)
    const next = (i) => {
      if (i === bodyParts.length) return call.end()
      call.write(bodyParts[i])
      setTimeout(next, 1000, i + 1)
    }
    next(0)
  })
  sent++
  pending.add(done)
  done.then(() => pending.delete(done))
}

/** Sends bytes that are no HTTP request (or none at all) and waits for the server to hang up. */
function sendRaw(bytes, localAddress = skewed()) {
  const done = new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: PORT, localAddress }, () => socket.write(bytes))
    socket
      .on('data', () => {})
      .on('close', resolve)
      .on('error', resolve)
  })
  sent++
  pending.add(done)
  done.then(() => pending.delete(done))
}

function visit() {
  const dice = Math.random()
  if (dice < 0.012) send(`/downloads/sample-${pick([14, 22, 30, 44])}k.bin`)
  else if (dice < 0.018)
    send('/cgi-bin/form', { method: 'POST', bodyParts: Array.from({ length: 3 + Math.floor(Math.random() * 7) }, (_, i) => `field${i}=value&`) })
  else if (dice < 0.03) send('/cgi-bin/form', { method: 'POST', bodyParts: [] })
  else if (dice < 0.05) send(pick(pages), { method: 'HEAD' })
  else if (dice < 0.052) sendRaw('')
  else if (dice < 0.054) sendRaw(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0d, 0x0a, 0x0d, 0x0a]))
  else if (dice < 0.056) send('/cgi-bin/../../../etc/passwd')
  else if (dice < 0.058) send('/private/', { headers: { Authorization: `Basic ${Buffer.from('bob:secret').toString('base64')}` } })
  else
    send(pick(pages), {
      headers:
        Math.random() < 0.4
          ? { Referer: 'http://localhost/docs/' }
          : { 'If-Modified-Since': Math.random() < 0.3 ? 'Fri, 01 Jan 2100 00:00:00 GMT' : '' },
    })
}

// ---- the run ----

function startServer() {
  const server = spawn(binary, ['-d', root, '-f', join(root, 'httpd.conf'), '-DFOREGROUND'], { stdio: 'inherit' })
  server.exited = new Promise((resolve) => server.on('exit', resolve))
  return server
}

const server = startServer()
await sleep(1000)
const start = Date.now()
let killed = false
while (Date.now() - start < seconds * 1000) {
  const share = (Date.now() - start) / (seconds * 1000)
  // Busier in the middle than at both ends.
  const perSecond = 20 + 30 * Math.sin(share * Math.PI)
  visit()
  if (share > 0.55 && !killed) {
    // The line that sed was writing stays cut off, and what it still held is lost; Apache starts another one.
    process.kill(Number(readFileSync(join(root, 'logger.pid'), 'utf8')), 'SIGKILL')
    killed = true
  }
  await sleep((-Math.log(1 - Math.random()) * 1000) / perSecond)
}
while (pending.size > 0) await Promise.all(pending)
await sleep(500)
server.kill('SIGTERM')
await server.exited
await sleep(1000)

const text = readFileSync(log, 'utf8')
if (text.includes(root)) throw new Error(`the log names a folder of this machine (${root}); it stays in ${log}`)
copyFileSync(log, output)
if (existsSync(join(root, 'server-error.log')) && process.env.DEBUG) console.log(readFileSync(join(root, 'server-error.log'), 'utf8'))
rmSync(root, { recursive: true })
console.log(`${sent} requests, ${text.split('\n').length - 1} lines, ${text.length} bytes in ${output}`)
