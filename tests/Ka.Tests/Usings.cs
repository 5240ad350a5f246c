global using Ka.Core.Environments;
global using Xunit;
