// mqtt loads its websockets with the first connection of any kind; most agents reach their broker by TCP or TLS, and never need them.
const load = () => require('../node_modules/ws/index.js');

class LazyWebSocket {
  constructor(...args) {
    return new (load())(...args);
  }

  static createWebSocketStream(...args) {
    return load().createWebSocketStream(...args);
  }
}

module.exports = LazyWebSocket;
