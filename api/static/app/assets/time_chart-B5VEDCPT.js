import{a}from"/app/assets/chunk-OI7RRUSG.js";import"/app/assets/chunk-AORVU642.js";import"/app/assets/chunk-7AIMAS4E.js";export{a as TimeChart};
