// Servers that speak AWS's wire protocols on 127.0.0.1: DynamoDB Local, kinesalite (Kinesis) and MiniStack (S3, SQS, and the others once more).
// They are installed into the user's cache folder, by the versions and checksums in test/wire/servers, and end with the process that started them.
// By itself `node scripts/aws-servers.mjs` starts them, says by which environment variables the SDK finds them, and waits for Ctrl-C.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const PINS = join(dirname(dirname(fileURLToPath(import.meta.url))), 'test', 'wire', 'servers')
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millrace-servers')
const INSTALL_MS = 8 * 60_000
const START_MS = 2 * 60_000
const STOP_MS = 5_000
const LOCALHOST = '127.0.0.1'

const SERVERS = {
  dynamodb: {
    pins: 'dynamodb-local',
    async install(pins, folder) {
      const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
      await run('mvn', ['-q', '-B', '-f', join(pins, 'pom.xml'), goal, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`])
      checkSums(folder, readFileSync(join(pins, 'sha256sums.txt'), 'utf8'))
    },
    start(pins, folder) {
      const args = ['-Xmx512m', `-Djava.library.path=${folder}`, '-cp', join(folder, '*'), join(pins, 'Launch.java')]
      return startListening('DynamoDB Local', 'java', args)
    },
  },
  kinesis: {
    pins: 'kinesalite',
    async install(pins, folder) {
      for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(pins, file), join(folder, file))
      await run('npm', ['ci', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'], folder)
    },
    start: (pins, folder) => startListening('kinesalite', process.execPath, [join(pins, 'launch.cjs'), folder]),
  },
  ministack: {
    pins: 'ministack',
    async install(pins, folder) {
      const strict = ['--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-warn-script-location']
      const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action', 'ignore']
      await run('python3', ['-m', 'pip', 'install', ...quiet, ...strict, '--target', folder, '-r', join(pins, 'requirements.txt')])
    },
    start: startMiniStack,
  },
}

/**
 * Starts the servers of these names (all: dynamodb, kinesis, ministack), installing what is not there yet. Rejects when one cannot be had, and
 * ends the others.
 */
export async function startAwsServers(names = Object.keys(SERVERS)) {
  const started = await Promise.allSettled(names.map((name) => startServer(SERVERS[name])))
  const servers = started.filter(({ status }) => status === 'fulfilled').map(({ value }) => value)
  const stop = async () => void (await Promise.all(servers.map((server) => server.stop())))
  const failed = started.find(({ status }) => status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return { urls: Object.fromEntries(names.map((name, index) => [name, servers[index].url])), stop }
}

async function startServer(server) {
  const pins = join(PINS, server.pins)
  return server.start(pins, await installed(pins, server))
}

/** The folder of a server's versions, checksums and launcher. */
export function pinsOf(name) {
  return join(PINS, SERVERS[name].pins)
}

/** The folder that a server is installed in, which it is now if it was not. */
export function installServer(name) {
  return installed(pinsOf(name), SERVERS[name])
}

/** A folder of its own for each state of the pins; whole or not there. */
async function installed(pins, { pins: name, install }) {
  const hash = createHash('sha256')
  for (const file of readdirSync(pins).sort()) if (!file.startsWith('launch') && file !== 'Launch.java') hash.update(readFileSync(join(pins, file)))
  const folder = join(CACHE, `${name}-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  mkdirSync(CACHE, { recursive: true })
  const aside = mkdtempSync(join(CACHE, 'installing-'))
  try {
    await install(pins, aside)
    if (!existsSync(folder)) renameSync(aside, folder)
    return folder
  } catch (error) {
    throw new Error(`${name} cannot be installed: ${error.message}`, { cause: error })
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

function checkSums(folder, sums) {
  const expected = new Map(
    sums
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/).reverse()),
  )
  const found = readdirSync(folder)
  const wrong = found.filter(
    (file) =>
      createHash('sha256')
        .update(readFileSync(join(folder, file)))
        .digest('hex') !== expected.get(file),
  )
  if (wrong.length > 0 || found.length !== expected.size) {
    throw new Error(`${found.length} files instead of ${expected.size}, not what was pinned: ${wrong.join(', ') || 'none'}`)
  }
}

/** A server that says `listening PORT`. */
async function startListening(name, command, args) {
  const server = startProcess(name, command, args)
  const port = await within(START_MS, server, () => /^listening (\d+)$/m.exec(server.said())?.[1])
  return { url: `http://${LOCALHOST}:${port}`, stop: server.stop }
}

async function startMiniStack(pins, folder) {
  const data = mkdtempSync(join(tmpdir(), 'millrace-ministack-'))
  const port = await freePort()
  const url = `http://${LOCALHOST}:${port}`
  const server = startProcess('MiniStack', 'python3', [join(pins, 'launch.py')], {
    PYTHONPATH: folder,
    PYTHONDONTWRITEBYTECODE: '1',
    GATEWAY_PORT: String(port),
    BIND_HOST: LOCALHOST,
    MINISTACK_HOST: LOCALHOST,
    STATE_DIR: join(data, 'state'),
    S3_DATA_DIR: join(data, 's3'),
    TMPDIR: data,
    SERVICES: 's3,sqs,dynamodb,kinesis',
    // Would listen on every interface.
    IOT_MTLS_ENABLED: '0',
    SFTP_ENABLED: '0',
    LOG_LEVEL: 'WARNING',
  })
  const stop = async () => {
    await server.stop()
    rmSync(data, { recursive: true, force: true })
  }
  try {
    const healthy = () =>
      fetch(`${url}/_ministack/health`).then(
        ({ ok }) => ok,
        () => false,
      )
    await within(START_MS, server, async () => (await healthy()) || undefined)
  } catch (error) {
    await stop()
    throw error
  }
  return { url, stop }
}

function startProcess(name, command, args, variables = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...variables } })
  let output = ''
  const take = (chunk) => {
    output = `${output}${chunk}`.slice(-10_000)
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  // It may have ended before it is told to.
  child.stdin.on('error', () => {})
  let ended
  const end = new Promise((resolve) => {
    const over = (how) => {
      ended = how
      resolve()
    }
    child.on('error', ({ message }) => over(message))
    child.on('exit', (code, signal) => over(signal ?? `exit code ${code}`))
  })
  const stop = async () => {
    child.stdin.end()
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await end
    clearTimeout(late)
  }
  return { name, said: () => output, ended: () => ended, stop }
}

/** What `look` gives as soon as it is not undefined. Rejects, and ends the server, when it has ended or time is up. */
async function within(ms, server, look) {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await pause(50)) {
    const found = await look()
    if (found !== undefined) return found
    if (server.ended() !== undefined) break
  }
  await server.stop()
  throw new Error(`${server.name} did not start (${server.ended()})\n${server.said()}`)
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, LOCALHOST, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_MS })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = `${output}${chunk}`.slice(-4_000)))
    child.on('error', reject)
    child.on('exit', (code, signal) => (code === 0 ? resolve() : reject(new Error(`${command} ended with ${signal ?? code}\n${output}`))))
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const began = Date.now()
  const { urls, stop } = await startAwsServers()
  console.log(`# started in ${((Date.now() - began) / 1_000).toFixed(1)} s`)
  console.log(`export AWS_ENDPOINT_URL=${urls.ministack}`)
  console.log(`export AWS_ENDPOINT_URL_DYNAMODB=${urls.dynamodb} AWS_ENDPOINT_URL_KINESIS=${urls.kinesis}`)
  console.log('export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local')
  const ending = async () => {
    await stop()
    process.exit()
  }
  process.once('SIGINT', ending).once('SIGTERM', ending)
}
