import{r as e,s as t}from"/app/assets/chunk-DRM5NA7M.js";function a(){return e(t,{title:"Markets",children:"x"})}export{a as default};
