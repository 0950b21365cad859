// Packs the package, installs it in the project that `cdk init` makes, and synthesises a stack with a job there: CommonJS as it is made, with its
// tests by Jest, and as ES modules.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const work = mkdtempSync(join(tmpdir(), 'millrace-cdk-package-'))
const windows = process.platform === 'win32'
const project = join(work, 'demo')
const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const clients = Object.entries(devDependencies).filter(([name]) => /^@aws-sdk\/client-(dynamodb|kinesis|lambda|s3|sqs)$/.test(name))

const STACK = (extension) => `
import * as cdk from 'aws-cdk-lib/core';
import { Stream } from 'aws-cdk-lib/aws-kinesis';
import { Construct } from 'constructs';
import { StreamJob, type StreamJobProps } from 'millrace/cdk';
import { WINDOW_MS } from './window${extension}';

export class DemoStack extends cdk.Stack {
  readonly job: StreamJob;
  constructor(scope: Construct, id: string, props?: cdk.StackProps) {
    super(scope, id, props);
    const words = new Stream(this, 'Words');
    const jobProps: StreamJobProps = { entry: 'lib/job.ts', bindings: { words }, parallelism: 2, environment: { WINDOW: String(WINDOW_MS) } };
    this.job = new StreamJob(this, 'WordCount', jobProps);
    new cdk.CfnOutput(this, 'Stages', { value: [...this.job.stages.keys()].join(',') });
  }
}
`
const WINDOW = 'export const WINDOW_MS = 60_000;\n'
const JOB = (extension) => `
import { defineJob, kinesisSource, TumblingEventTimeWindows, utf8Line, WatermarkStrategy } from 'millrace';
import { WINDOW_MS } from './window${extension}';

export default defineJob('word-count', (env) => {
  const strategy = WatermarkStrategy.forMonotonousTimestamps<string>();
  env.fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), strategy)
    .map((word) => ({ word, n: 1 }))
    .keyBy(({ word }) => word)
    .window(TumblingEventTimeWindows.of(WINDOW_MS))
    .reduce((a, b) => ({ word: a.word, n: a.n + b.n }))
    .uid('count')
    .print();
});
`
const TEST = `
import * as cdk from 'aws-cdk-lib/core';
import { Template } from 'aws-cdk-lib/assertions';
import { DemoStack } from '../lib/demo-stack';

test('a stage is a function', () => {
  const template = Template.fromStack(new DemoStack(new cdk.App(), 'TestStack'));
  template.hasResourceProperties('AWS::Lambda::Function', { Handler: 'stage.handler' });
}, 120_000);
`

try {
  const [{ filename }] = JSON.parse(run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', work))
  mkdirSync(project)
  run(project, join(root, 'node_modules', '.bin', 'cdk'), 'init', 'app', '--language', 'typescript', '--generate-only')
  run(project, 'npm', 'install', '--no-audit', '--no-fund', join(work, filename), ...clients.map(([name, version]) => `${name}@${version}`))
  check(true, 'the package is installed in what cdk init makes')

  write('lib/demo-stack.ts', STACK(''))
  write('lib/window.ts', WINDOW)
  write('lib/job.ts', JOB(''))
  write('test/demo.test.ts', TEST)
  synthesised('CommonJS, as cdk init makes it')
  const tested = spawnSync(process.execPath, [join('node_modules', 'jest', 'bin', 'jest.js')], { cwd: project, encoding: 'utf8', timeout: 300_000 })
  check(tested.status === 0, 'its tests pass by Jest', `${tested.stdout}\n${tested.stderr}`)

  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
  write('package.json', JSON.stringify({ ...manifest, type: 'module' }))
  write('lib/demo-stack.ts', STACK('.js'))
  write('lib/job.ts', JOB('.js'))
  write('bin/demo.ts', readFileSync(join(project, 'bin', 'demo.ts'), 'utf8').replace("'../lib/demo-stack'", "'../lib/demo-stack.js'"))
  rmSync(join(project, 'test'), { recursive: true })
  synthesised('ES modules')
} finally {
  rmSync(work, { recursive: true, force: true })
}

function synthesised(what) {
  rmSync(join(project, 'cdk.out'), { recursive: true, force: true })
  const { status, stdout, stderr } = spawnSync(process.execPath, [join('node_modules', 'aws-cdk', 'bin', 'cdk'), 'synth', '--quiet'], {
    cwd: project,
    encoding: 'utf8',
    timeout: 300_000,
  })
  check(status === 0, `${what}: types are right, and cdk synth makes the stack`, `${stdout}\n${stderr}`)
  const { Resources, Outputs } = JSON.parse(readFileSync(join(project, 'cdk.out', 'DemoStack.template.json'), 'utf8'))
  const stages = Object.values(Resources).filter(({ Type, Properties }) => Type === 'AWS::Lambda::Function' && Properties.Handler === 'stage.handler')
  check(Outputs.Stages.Value.endsWith('count') && stages.length === 2, `${what}: it has a function for each of two stages`)
  const bundles = readdirSync(join(project, 'cdk.out')).filter((name) => name.startsWith('asset.') && has(name, 'stage.mjs'))
  check(bundles.length === 1, `${what}: all functions of the job have one bundle`)
}

function has(asset, file) {
  return readdirSync(join(project, 'cdk.out', asset)).includes(file)
}

function write(name, text) {
  writeFileSync(join(project, name), text)
}

function run(cwd, command, ...args) {
  return execFileSync(windows ? `${command}.cmd` : command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], shell: windows })
}

function check(condition, what, said = '') {
  if (!condition) throw new Error(`FAILED: ${what}\n${said}`)
  console.log(`ok: ${what}`)
}
