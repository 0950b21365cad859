// node launch.cjs INSTALLED-FOLDER: says `listening PORT`, and ends with its standard input.
const { createRequire } = require('node:module')
const { join } = require('node:path')

const kinesalite = createRequire(join(process.argv[2], 'package.json'))('kinesalite')
// A stream is there at once, and may have more shards than an account of the old days.
const server = kinesalite({ createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 1000 })
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`))
process.stdin.resume().on('end', () => process.exit())
