// Stands in for a library that the bundle must not carry; see packaging/build.ts.
module.exports = {};
