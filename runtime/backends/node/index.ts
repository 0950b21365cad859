export { ZlibCompression } from './zlib-compression.js'
