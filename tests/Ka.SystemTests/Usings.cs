global using Xunit;
global using Ka.Core.Environments;
