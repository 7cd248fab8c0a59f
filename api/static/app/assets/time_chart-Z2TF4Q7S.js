import{a}from"/app/assets/chunk-SOZCJ2RD.js";import"/app/assets/chunk-5XP5X7PP.js";import"/app/assets/chunk-WPOQUVSY.js";export{a as TimeChart};
