// The import graph of the rooms (docs/architecture.md draws it). `test/architecture.test.ts` holds it over a mirror of the
// sources in which type imports count too: TypeScript 7 has no JavaScript API, so dependency-cruiser cannot read .ts itself.

/** What each room of the engine may import besides itself. Skin rooms (local, testing) may import every room. */
const ROOMS = {
  core: [],
  ports: ['core'],
  state: ['ports', 'core'],
  operators: ['state', 'ports', 'core'],
  plan: ['operators', 'state', 'ports', 'core'],
  api: ['plan', 'operators', 'state', 'ports', 'core'],
  exchange: ['state', 'ports', 'core'],
  checkpoint: ['plan', 'operators', 'state', 'exchange', 'ports', 'core'],
  task: ['checkpoint', 'plan', 'operators', 'state', 'exchange', 'ports', 'core'],
  backends: ['ports', 'core'],
  connectors: ['backends', 'ports', 'core'],
}

/** Rooms that a simulation must be able to run whole: no way to the outside world except through ports. */
const PURE = ['core', 'ports', 'state', 'operators', 'plan', 'api', 'exchange', 'checkpoint', 'task']

const SKIN = ['functions', 'cdk', 'cli', 'console', 'examples', 'bench', 'oracle', 'simulation', 'cost', 'local-aws', 'e2e', 'test']

const either = (names) => `(?:${names.join('|')})`

/** `fromElements`, `fromCollection` and `print` are methods of the API, and no more than the connectors of these names. */
const BEHIND_METHODS = { api: ['connectors/collection', 'connectors/print'] }

const roomRules = Object.entries(ROOMS).map(([room, allowed]) => ({
  name: `room-${room}`,
  severity: 'error',
  comment: `${room} may import only ${allowed.length === 0 ? 'itself' : allowed.join(', ')}`,
  from: { path: `^runtime/${room}/` },
  to: { path: '^runtime/', pathNot: `^runtime/${either([room, ...allowed, ...(BEHIND_METHODS[room] ?? [])])}/` },
}))

module.exports = {
  forbidden: [
    ...roomRules,
    {
      name: 'runtime-below-skin',
      severity: 'error',
      comment: 'The engine does not know the programs built on it',
      from: { path: '^runtime/' },
      to: { path: `^${either(SKIN)}/` },
    },
    {
      name: 'one-way-out-of-the-engine',
      severity: 'error',
      comment: 'A room never goes round through the package entry',
      from: { path: '^runtime/[^/]+/', pathNot: '^runtime/(?:local|testing)/' },
      to: { path: '^runtime/index\\.' },
    },
    {
      name: 'pure-rooms-have-no-node',
      severity: 'error',
      comment: 'node: modules only in backends, connectors, local, testing and the skin: the rest must run in a simulation',
      from: { path: `^runtime/${either(PURE)}/` },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-rooms-have-no-aws',
      severity: 'error',
      comment: 'AWS is spoken in backends, connectors, functions and cdk',
      from: { path: `^(?:runtime/${either(PURE)}|cli)/` },
      to: { path: '(?:@aws-sdk|@smithy|aws-cdk-lib|aws-lambda)/' },
    },
    {
      name: 'core-and-ports-import-no-library',
      severity: 'error',
      comment: 'core and ports stand alone',
      from: { path: '^runtime/(?:core|ports)/' },
      to: { path: 'node_modules/' },
    },
    {
      name: 'shipped-code-has-its-libraries',
      severity: 'error',
      comment: 'What the package ships must not import a devDependency (AWS parts find theirs on Lambda or in the app that deploys)',
      from: { path: '^(?:runtime|cli)/', pathNot: '^runtime/(?:backends/aws|connectors|local/aws|testing/aws)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      comment: 'Every import leads somewhere',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-orphan',
      severity: 'error',
      comment: 'A file nobody imports is dead, unless it is a program',
      from: {
        orphan: true,
        path: '^(?:runtime|cli|functions|cdk)/',
        pathNot: '^(?:cli/main|runtime/index|runtime/testing/index|functions/[^/]+|cdk/(?:app|index))\\.',
      },
      to: {},
    },
    {
      name: 'no-circular',
      severity: 'error',
      comment:
        'No cycles of values. Cycles of types alone inside a room are tolerated: they do not exist when the program runs. ' +
        'The streams of the API make one another by their methods, which no order of files could avoid',
      from: { pathNot: '^runtime/api/' },
      to: { circular: true },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '\\.d\\.ts$'] },
    exclude: { path: '^bench/flink/' },
    combinedDependencies: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'], extensions: ['.js', '.json'] },
  },
}
