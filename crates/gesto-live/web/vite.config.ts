import { defineConfig } from "vite";

// Plain file names and one chunk: the built page is committed and compared with a fresh build,
// and the server revalidates by content hash, so names need none.
export default defineConfig({
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: {
    // Colours and limbs are shared with the program's own drawing.
    fs: { allow: [".", "../../gesto-media/src/draw"] },
    proxy: { "/v1": { target: "http://127.0.0.1:7860", ws: true, changeOrigin: true } },
  },
});
