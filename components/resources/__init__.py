"""What the gateway is made of in Pulumi's words. What stands beside this folder is data, and needs no Pulumi."""
